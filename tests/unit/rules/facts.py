"""Facts as the tests of the rules write them, and what a rule makes of them."""

from __future__ import annotations

from pushsafe.model.credentials import Credential
from pushsafe.model.evidence import Access, Evidence, Preflight, RegistryPing, Stage, TagHeld, TagState
from pushsafe.model.facts import (
    Buildx,
    ConfiguredRegistry,
    EngineInfo,
    EngineKind,
    Facts,
    ImageMissing,
    LocalImage,
    PulledIndex,
    Upcoming,
)
from pushsafe.model.request import TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference, parse_repository
from pushsafe.rules.rule import Problem, Rule
from tests.values import AMD64, OCI_INDEX, OCI_MANIFEST, ref, sha

NOW = 1_700_000_000.0
DEFAULT_POLICY = TagPolicy()
OPEN = RegistryPing(Access.OPEN, "/v2/ answers 200 without a login")
LOGIN_WANTED = RegistryPing(Access.LOGIN_WANTED, "/v2/ answers 401 without one")
UNKNOWN = RegistryPing(Access.UNKNOWN, "connection refused")


def facts(
    given: str,
    *,
    configured: tuple[ConfiguredRegistry, ...] = (),
    image: LocalImage | ImageMissing | Upcoming | None = None,
    credential: Credential | None = None,
    ping: RegistryPing | None = None,
    source: tuple[str, ManifestInfo] | None = None,
    store: EngineKind | None = None,
    platforms: tuple[Platform, ...] = (),
    now: TagState | None = None,
    policy: TagPolicy = DEFAULT_POLICY,
    preflight: Preflight | None = None,
    buildx: Buildx | None = None,
) -> Facts:
    """What is known of one reference; what is not named was not asked."""
    return Facts(
        ref(given),
        configured,
        image,
        credential,
        ping,
        PulledIndex(*source) if source else None,
        EngineInfo("28.5.2", "1.51", store, AMD64) if store else None,
        platforms,
        NOW,
        policy=policy,
        preflight=preflight,
        tag_now=now,
        buildx=buildx,
    )


def repository(given: str, *configured: ConfiguredRegistry) -> Facts:
    """The argument of `--all-tags`."""
    found = parse_repository(given)
    assert isinstance(found, Reference), found
    return Facts(found, configured, now=NOW)


def image(digit: str, *platforms: Platform) -> LocalImage:
    return LocalImage(sha(digit), platforms or (AMD64,))


def held(digit: str, *platforms: Platform, config: str = "", version: str = "", also: tuple[str, ...] = ()) -> TagHeld:
    """What a tag names now: an index, if there are several platforms."""
    kind = OCI_INDEX if len(platforms) > 1 else OCI_MANIFEST
    return TagHeld(ManifestInfo(sha(digit), kind, platforms, config=config), version, also)


def asked(*answers: tuple[int, bool]) -> Preflight:
    """A registry that was asked beforehand: the status of each upload that was tried, and whether a credential went
    along."""
    return Preflight(tuple(Evidence(Stage.PROBE, "", status, sent=sent) for status, sent in answers))


def problems(rule: Rule, *listed: Facts) -> list[Problem]:
    return list(rule.check(listed))


def only(rule: Rule, *listed: Facts) -> Problem:
    """The one thing that a rule has to say of a reference, which it says once however often that is listed."""
    found = problems(rule, *listed)
    assert len(found) == 1, found
    again = problems(rule, *listed, *(fact._replace() for fact in listed)) if rule.code != "PS107" else found
    assert again == found
    assert found[0].reference in {fact.reference for fact in listed}
    return found[0]


def fires(rule: Rule, *rows: tuple[Facts | str, str, str] | tuple[Facts | str, str, str, Severity]) -> None:
    """A row: what is known, words of the message, the whole fix, and the severity where it is not the rule's own."""
    for known, said, fix, *severity in rows:
        problem = only(rule, facts(known) if isinstance(known, str) else known)
        assert said in problem.message, problem
        assert problem.fix == fix, problem
        assert problem.severity is (severity[0] if severity else None), problem


def silent(rule: Rule, *rows: Facts | str) -> None:
    for known in rows:
        assert problems(rule, facts(known) if isinstance(known, str) else known) == [], known
