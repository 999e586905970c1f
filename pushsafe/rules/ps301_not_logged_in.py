"""PS301: no credential for a registry that requires one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.known_registries import login
from pushsafe.model.credentials import SourceKind
from pushsafe.model.evidence import Access
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, accepted_upload, first_per_registry


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    for fact in first_per_registry(fact for fact in facts if not accepted_upload(fact)):
        credential, ping = fact.credential, fact.ping
        if credential is None or ping is None or credential.source.kind is not SourceKind.NONE:
            continue
        registry = fact.reference.registry
        fix = login(credential)
        if ping.access is Access.LOGIN_WANTED:
            yield Problem(fact.reference, f"not logged in to {registry}, which requires a login ({ping.detail})", fix)
        elif ping.access is Access.UNKNOWN and not ping.untrusted:  # which no login fixes
            yield Problem(
                fact.reference,
                f"not logged in to {registry}; could not check whether it requires a login ({ping.detail})",
                fix,
                Severity.WARNING,
            )


RULE = Rule(
    code="PS301",
    slug="not-logged-in",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="credential",
    summary="no credential for a registry that requires one",
    explanation=(
        "docker looks for a credential in DOCKER_AUTH_CONFIG, in the credential helpers and in its config file, and "
        "pushes anonymously if there is none. The registry then answers `denied`, exactly as it does to an account "
        "without the right to write. A registry needs no login if its `/v2/` answers 200 without one, or if it let "
        "the preflight start an upload without one. If the registry cannot be asked from this machine, the finding is "
        "a warning."
    ),
    example="docker pushsafe ghcr.io/myorg/my-api:1.4.2   (without docker login ghcr.io)",
    fix=(
        "Run the login command of the finding; in CI, in the same job, as the same user and with the same "
        "DOCKER_CONFIG."
    ),
    check=check,
)
