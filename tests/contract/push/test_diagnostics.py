"""A diagnosis: every step in every state, in the order of a push, and the push's exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry as Schemas
from referencing import Resource

from pushsafe import rules
from pushsafe.engine.kinds import CONTAINERD
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import EngineFailed, EngineUnreachable, RegistryUnreachable
from pushsafe.model.evidence import WRONG_ADDRESS, Access, Evidence, Preflight, RegistryPing, Stage
from pushsafe.model.facts import Facts, ImageMissing, LocalImage
from pushsafe.model.inquiry import STEPS, Diagnosis, StepStatus
from pushsafe.model.request import PushRequest, TagPolicy
from pushsafe.model.verdicts import Severity
from pushsafe.oci.manifest import DOCKER_MANIFEST, ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.push.diagnostics import MORE, run
from pushsafe.report import human
from pushsafe.report import json as json_report
from pushsafe.report.exit_codes import ExitCode, exit_code
from pushsafe.rules import RULES, Needs, Rule
from pushsafe.rules.rule import Problem
from tests.fakes.gateways import DOCKER_26, NOW, Engine, Registry, World
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, broken, logged_in, nobody, ref, sha

NAME = "registry.test/team/app"
REF = f"{NAME}:1"
DOCS = Path(__file__).parents[3] / "docs"
BEARER = 'Bearer realm="https://registry.test/token"'

PING = Evidence(Stage.PING, "GET https://registry.test/v2/ without a credential", 401, challenge=BEARER, sent=False)
OPEN = PING._replace(status=200, challenge="")
BASIC = PING._replace(challenge="Basic")
TOKEN = Evidence(Stage.TOKEN, "a token was given", 200, sent=True, granted=("pull", "push"))
OPAQUE = TOKEN._replace(granted=None)
PROBE = Evidence(Stage.PROBE, "", 202, sent=True)
REFUSED = Evidence(Stage.PROBE, "requested access to the resource is denied", 401, "DENIED", sent=True)
ABSENT = Evidence(Stage.VERIFY, "manifest unknown", 404)


def as_nobody(item: Evidence) -> Evidence:
    """The answer to nobody."""
    return item._replace(sent=False)


class Broken(Engine):
    """An engine that does one thing wrong."""

    def image(self, reference: Reference, *, near: bool = True) -> LocalImage | ImageMissing:
        raise EngineFailed("the engine answers 500 to GET /images/json: out of order")


class Near(Engine):
    def image(self, reference: Reference, *, near: bool = True) -> LocalImage | ImageMissing:
        return ImageMissing(("registry.test/team/app:1.0", "app:1"))


def diagnose(world: World, given: str = REF, *platforms: Platform, immutable: tuple[str, ...] = ()) -> Diagnosis:
    request = PushRequest((ref(given),), platforms=platforms, policy=TagPolicy(immutable=immutable), pushes=False)
    found = run(request, world.gateways)
    assert [step.name for step in found.steps if step.name in STEPS] == list(STEPS)
    assert all(step.detail.strip() for step in found.steps)
    document = json.loads(json_report.render_diagnosis(found))
    jsonschema.Draft202012Validator(SCHEMA, registry=SCHEMAS).validate(document)
    assert document["exit_code"] == exit_code(found.report)
    assert world.engine.pushed == []
    return found


def asked(
    *answers: Evidence,
    problem: str = "",
    credential: Credential | None = None,
    engine: Engine | None = None,
    manifest: ManifestInfo | Evidence | Exception = ABSENT,
) -> World:
    """A world whose registry gives these answers when it is asked beforehand."""
    world = World(registry=Registry(held={REF: manifest}, preflights={NAME: (Preflight(answers, problem),)}))
    access = {401: Access.LOGIN_WANTED, 200: Access.OPEN}.get(answers[0].status or 0 if answers else 0, Access.UNKNOWN)
    world.registry.pings = {"registry.test": RegistryPing(access, problem)}
    world.credentials.logins = {"registry.test": credential or logged_in()}
    world.engine = engine or world.engine
    return world


def shown(found: Diagnosis, name: str) -> str:
    """A step as `STATUS DETAIL`."""
    (step,) = (step for step in found.steps if step.name == name)
    return f"{step.status.value} {step.detail}"


SCHEMA = json.loads((DOCS / "diagnosis.schema.json").read_text())
_REPORT = Resource.from_contents(json.loads((DOCS / "report.schema.json").read_text()))
SCHEMAS: Schemas[Any] = Schemas().with_resource("report.schema.json", _REPORT)
GOOD = (PING, TOKEN, PROBE)
DOWN = "https://registry.test: connection refused"
LOGIN_403 = Evidence(Stage.TOKEN, "access forbidden", 403, sent=True)


# ---------------------------------------------------------------------- one step, one state

SAYS: list[tuple[World, ExitCode, dict[str, str]]] = [
    # everything is good
    (
        asked(*GOOD),
        ExitCode.OK,
        {
            "reference": f"ok {REF}",
            "engine": "ok docker 28.5.2, classic image store",
            "image": f"ok {sha('a')}  linux/amd64",
            "credential": "ok found in the config file /home/ada/.docker/config.json, user ada",
            "registry": "ok 401 to GET https://registry.test/v2/ without a credential",
            "challenge": f"ok {BEARER}",
            "token": "ok 200; a token was given",
            "grant": "ok pull, push",
            "push probe": "ok 202; an upload was started",
            "tag now": "ok the registry does not hold it",
        },
    ),
    # the image
    (
        asked(*GOOD, engine=Near()),
        ExitCode.LINT,
        {"image": "failed the engine has no such image; it has registry.test/team/app:1.0, app:1; PS201 image-missing"},
    ),
    (asked(*GOOD, engine=Engine(images={})), ExitCode.LINT, {"image": "failed the engine has no such image; PS201 *"}),
    (
        asked(*GOOD, engine=Engine(store=CONTAINERD, images={REF: LocalImage(sha("a"), (AMD64,), (ARM64,))})),
        ExitCode.LINT,
        {
            "engine": "ok * containerd image store",
            "image": "failed *linux/amd64; not here: linux/arm64; PS204 index-incomplete",
        },
    ),
    # the credential
    (
        asked(PING, as_nobody(TOKEN._replace(granted=())), as_nobody(REFUSED), credential=nobody()),
        ExitCode.NO_AUTHENTICATION,
        {
            "credential": "failed none was found for registry.test, so none is sent; PS301 not-logged-in",
            "token": "ok 200; a token was given",
            "grant": "failed nothing: push is missing",
            "push probe": "failed 401; DENIED; requested access to the resource is denied",
        },
    ),
    (
        asked(OPEN, as_nobody(PROBE), credential=nobody()),
        ExitCode.OK,
        {
            "credential": "ok none was found for registry.test, and none is needed",
            "challenge": "ok none: /v2/ requires no login",
            "token": "skipped not asked: /v2/ requires no login",
            "grant": "skipped no token shows it",
            "push probe": "ok 202; *",
        },
    ),
    (
        asked(PING, as_nobody(TOKEN._replace(granted=())), as_nobody(REFUSED), credential=broken()),
        ExitCode.NO_AUTHENTICATION,
        {
            "credential": "failed cannot be read, so none is sent: docker-credential-desktop: not found in PATH; "
            "PS303 credential-unusable"
        },
    ),
    (
        asked(PING, Evidence(Stage.TOKEN, "expired", 401, sent=True), credential=logged_in(expires=NOW - 1)),
        ExitCode.NO_AUTHENTICATION,
        {
            "credential": "failed found in *; it says itself that it has expired; PS302 credential-expired",
            "token": "failed 401; expired",
            "grant": "skipped no*",
            "push probe": "skipped not asked: the token comes first",
        },
    ),
    (
        asked(*GOOD, credential=logged_in(expires=NOW - 1)),
        ExitCode.OK,
        {"credential": "ok found in *; it says itself that it has expired"},
    ),
    (
        asked(PING, PROBE, credential=logged_in()._replace(kind=CredentialKind.REGISTRY_TOKEN)),
        ExitCode.OK,
        {"token": "skipped not asked: the credential is a token itself", "grant": "skipped no token shows it"},
    ),
    # the registry
    (
        asked(problem=DOWN),
        ExitCode.OK,
        {
            "registry": f"unknown not reachable from here: {DOWN}",
            "login (engine)": "ok 200; login succeeded",
            "challenge": "skipped not asked: the registry comes first",
            "push probe": "skipped not asked: the registry comes first",
            "tag now": f"ok {sha('d')}; PS401 overwrites-tag",
        },
    ),
    (
        asked(problem=DOWN, engine=Engine(login_answer=Evidence(Stage.ENGINE_AUTH, "unauthorized", 401, sent=True))),
        ExitCode.NO_AUTHENTICATION,
        {"login (engine)": "failed 401; unauthorized"},
    ),
    (
        asked(
            problem=DOWN,
            engine=Engine(login_answer=Evidence(Stage.ENGINE_AUTH, "dial tcp: connection refused", 500, sent=True)),
        ),
        ExitCode.UNREACHABLE,
        {"login (engine)": "unknown 500; dial tcp: connection refused"},
    ),
    (
        asked(
            problem=DOWN,
            credential=nobody(),
            engine=Engine(distribution_answer=Evidence(Stage.VERIFY, "dial tcp: no such host", 500)),
        ),
        ExitCode.UNREACHABLE,
        {
            "tag now": "unknown through the engine: 500 dial tcp: no such host",
            "credential": "unknown none was found*; PS301 *",
        },
    ),
    (
        asked(problem=DOWN, credential=nobody()),
        ExitCode.OK,
        {"registry": "unknown not reachable*", "tag now": f"ok {sha('d')}; PS401 overwrites-tag"},
    ),
    (
        asked(PING._replace(status=503, challenge=""), as_nobody(PROBE._replace(status=503, message="busy"))),
        ExitCode.OK,
        {
            "registry": "unknown 503 to GET *, where registries answer 200 or 401",
            "challenge": "skipped not asked: the registry comes first",
            "push probe": "skipped not asked: the registry comes first",
            "push probe as nobody": "compared 503; busy",
        },
    ),
    # the challenge
    (
        asked(PING._replace(challenge=""), as_nobody(REFUSED)),
        ExitCode.UNCLEAR,
        {
            "challenge": "failed none that can be answered: neither Bearer nor Basic",
            "token": "skipped not asked: the challenge comes first",
        },
    ),
    (
        asked(BASIC, TOKEN._replace(message="GET /v2/ with the credential", granted=None), PROBE),
        ExitCode.OK,
        {
            "challenge": "ok Basic",
            "token": "ok none with Basic; the password goes along: 200; GET /v2/ with the credential",
            "grant": "skipped no token shows it",
        },
    ),
    (
        asked(BASIC, TOKEN._replace(status=401, message="authentication required", granted=None)),
        ExitCode.NO_AUTHENTICATION,
        {
            "token": "failed none with Basic; the password goes along: 401; authentication required",
            "push probe": "skipped not asked: the token comes first",
        },
    ),
    (
        asked(BASIC, as_nobody(REFUSED), credential=logged_in()._replace(kind=CredentialKind.IDENTITY_TOKEN)),
        ExitCode.UNCLEAR,
        {
            "token": "skipped not asked: docker has no credential that fits the challenge",
            "push probe as nobody": "compared 401; *",
        },
    ),
    # the token and its grant
    (
        asked(PING, Evidence(Stage.TOKEN, "incorrect username or password", 401, sent=True)),
        ExitCode.NO_AUTHENTICATION,
        {"token": "failed 401; incorrect username or password", "push probe": "skipped *: the token comes first"},
    ),
    (
        asked(PING, LOGIN_403, Evidence(Stage.LOGIN, "a token was given", 200, sent=True)),
        ExitCode.INSUFFICIENT_PERMISSION,
        {"token": "failed 403; access forbidden", "login": "ok what docker login asks: 200; a token was given"},
    ),
    (
        asked(PING, TOKEN._replace(message="the token server's answer holds no token", granted=None)),
        ExitCode.OK,
        {
            "token": "unknown 200; the token server's answer holds no token",
            "grant": "skipped not asked: the token comes first",
            "push probe": "skipped not asked: the token comes first",
        },
    ),
    (
        asked(PING, problem="the token server does not answer"),
        ExitCode.OK,
        {
            "token": "unknown the token server does not answer",
            "push probe": "skipped not asked: the token comes first",
            "tag now": "*",
        },
    ),
    (
        asked(PING, TOKEN._replace(granted=("pull",)), REFUSED),
        ExitCode.INSUFFICIENT_PERMISSION,
        {"grant": "failed pull only: push is missing", "push probe": "failed 401; *"},
    ),
    (
        asked(PING, TOKEN._replace(granted=()), REFUSED),
        ExitCode.INSUFFICIENT_PERMISSION,
        {"grant": "failed nothing: push is missing"},
    ),
    (asked(PING, TOKEN._replace(granted=("*",)), PROBE), ExitCode.OK, {"grant": "ok *"}),
    (asked(PING, OPAQUE, PROBE), ExitCode.OK, {"grant": "unknown the token does not say"}),
    # the probe
    (
        asked(PING, TOKEN, problem="it went away"),
        ExitCode.OK,
        {"token": "ok 200; a token was given", "grant": "ok pull, push", "push probe": "unknown it went away"},
    ),
    (
        asked(PING, TOKEN, Evidence(Stage.PROBE, "try later", 500, sent=True)),
        ExitCode.OK,
        {"push probe": "unknown 500; try later"},
    ),
    (
        asked(
            PING, TOKEN, Evidence(Stage.PROBE, "repository name not known to registry", 404, "NAME_UNKNOWN", sent=True)
        ),
        ExitCode.FAILED,
        {"push probe": "failed 404; NAME_UNKNOWN; *"},
    ),
    # what is asked only to compare
    (
        asked(PING, OPAQUE, REFUSED._replace(status=403), as_nobody(OPAQUE), as_nobody(REFUSED)),
        ExitCode.INSUFFICIENT_PERMISSION,
        {
            "push probe": "failed 403; *",
            "token as nobody": "compared 200; a token was given",
            "grant as nobody": "compared the token does not say",
            "push probe as nobody": "compared 401; *",
        },
    ),
    (
        asked(
            PING,
            OPAQUE,
            REFUSED,
            as_nobody(OPAQUE),
            Evidence(Stage.LOGIN, "GET /v2/ with the credential", 200, sent=True),
            Evidence(Stage.LOGIN, "GET /v2/ with nobody's token", 401, sent=False),
        ),
        ExitCode.INSUFFICIENT_PERMISSION,
        {"login": "ok what docker login asks: 200; *", "login as nobody": "compared what docker login asks: 401; *"},
    ),
    (
        asked(PING, OPAQUE, REFUSED, as_nobody(OPAQUE), Evidence(Stage.LOGIN, "no", 401, sent=True)),
        ExitCode.NO_AUTHENTICATION,
        {"login": "failed what docker login asks: 401; no"},
    ),
    (
        asked(PING, OPAQUE, REFUSED, problem="it went away"),
        ExitCode.UNCLEAR,
        {"push probe": "failed 401; *", "token as nobody": "unknown it went away"},
    ),
    (
        asked(OPEN, as_nobody(REFUSED._replace(challenge=BEARER)), TOKEN, PROBE, engine=Engine(store=CONTAINERD)),
        ExitCode.OK,
        {"challenge": "ok none: *", "push probe": "ok 202; *", "push probe as nobody": "compared 401; *"},
    ),
    # unclear, whatever was asked
    (asked(PING, OPAQUE, REFUSED, as_nobody(OPAQUE)), ExitCode.UNCLEAR, {"push probe": "failed 401; *"}),
    # what the tag names now
    (asked(*GOOD, manifest=ManifestInfo(sha("a"), DOCKER_MANIFEST)), ExitCode.OK, {"tag now": f"ok {sha('a')}"}),
    (
        asked(*GOOD, manifest=ManifestInfo(sha("b"), OCI_INDEX, (AMD64, ARM64))),
        ExitCode.LINT,
        {"tag now": f"failed {sha('b')}  linux/amd64, linux/arm64; PS205 shrinks-index; PS401 overwrites-tag"},
    ),
    (
        asked(*GOOD, manifest=Evidence(Stage.VERIFY, "oops", 500)),
        ExitCode.OK,
        {"tag now": "unknown the registry answers 500 oops"},
    ),
    (asked(*GOOD, manifest=RegistryUnreachable("it went away")), ExitCode.OK, {"tag now": "unknown it went away"}),
]


def like(pattern: str, text: str) -> bool:
    """Whether a text is as in the table; `*` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


@pytest.mark.parametrize(
    ("world", "code", "says"), SAYS, ids=lambda value: "; ".join(value) if isinstance(value, dict) else ""
)
def test_steps(world: World, code: ExitCode, says: dict[str, str]) -> None:
    found = diagnose(world)
    for name, pattern in says.items():
        assert like(pattern, shown(found, name)), shown(found, name)
    assert exit_code(found.report) is code


def test_every_step_of_a_good_push_is_ticked_and_nothing_else_is_told() -> None:
    found = diagnose(asked(*GOOD))
    assert [step.name for step in found.steps] == list(STEPS)
    assert {step.status for step in found.steps} == {StepStatus.OK}
    assert "may be pushed (a new tag)" in human.render_diagnosis(found)


def test_the_table_holds_every_state_and_every_step() -> None:
    steps = [step for world, *_ in SAYS for step in diagnose(world).steps]
    assert {step.status for step in steps} == set(StepStatus)
    assert {step.name for step in steps} == {*STEPS, *(name for names in MORE.values() for name in names)}


def test_more_steps_stand_after_the_one_that_they_are_about_each_once() -> None:
    twice = (
        as_nobody(REFUSED._replace(challenge=BEARER)),
        TOKEN,
        REFUSED,
        as_nobody(TOKEN),
        as_nobody(REFUSED._replace(message="last")),
    )
    found = diagnose(asked(OPEN, *twice))
    names = [step.name for step in found.steps]
    assert names[names.index("token") :] == [
        *("token", "grant", "token as nobody", "grant as nobody", "push probe", "push probe as nobody", "tag now")
    ]
    assert "last" in shown(found, "push probe as nobody")


# ---------------------------------------------------------------------- engines and registries that are away or mad


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineUnreachable("no engine answers at unix:///x", "sudo systemctl start docker"), ExitCode.UNREACHABLE),
        (EngineFailed("the engine answers 500 to GET /info"), ExitCode.FAILED),
    ],
)
@pytest.mark.parametrize("when", ["connecting", "info"])
def test_without_an_engine_the_registry_is_asked_all_the_same(error: Exception, code: ExitCode, when: str) -> None:
    world = asked(*GOOD, engine=Engine(info_answer=error))
    world.engine_down = error if when == "connecting" else None
    found = diagnose(world)
    assert shown(found, "engine") == f"failed {error}"
    assert shown(found, "image") == "skipped not asked: the engine comes first"
    assert shown(found, "push probe").startswith("ok 202")
    assert shown(found, "tag now") == "ok the registry does not hold it"
    assert exit_code(found.report) is code
    text = human.render_diagnosis(found)
    assert "may be pushed" not in text
    assert text.count(str(error)) == 1
    assert ("  try: sudo systemctl start docker" in text) is bool(getattr(error, "hint", ""))


def test_without_an_engine_a_denial_is_still_told() -> None:
    world = asked(PING, TOKEN._replace(granted=("pull",)), REFUSED)
    world.engine_down = EngineUnreachable("away")
    found = diagnose(world)
    assert "denied: insufficient-permission" in human.render_diagnosis(found)
    assert exit_code(found.report) is ExitCode.UNREACHABLE


def test_without_engine_and_registry_both_are_told() -> None:
    world = asked(problem=DOWN)
    world.engine_down = EngineUnreachable("away")
    found = diagnose(world)
    assert shown(found, "engine") == "failed away"
    assert shown(found, "registry") == f"unknown not reachable from here: {DOWN}"
    assert shown(found, "login (engine)") == "unknown away"
    assert shown(found, "tag now").startswith("unknown ")


def test_an_engine_that_fails_when_it_is_asked_for_the_image() -> None:
    found = diagnose(asked(*GOOD, engine=Broken()))
    assert "out of order" in shown(found, "engine")
    assert exit_code(found.report) is ExitCode.FAILED


def test_an_engine_that_cannot_take_the_platform() -> None:
    world = asked(*GOOD, engine=Engine(info_answer=DOCKER_26))
    found = diagnose(world, REF, AMD64)
    assert (
        shown(found, "engine")
        == "failed --platform needs an engine with API 1.46 (Docker 27), and this one speaks 1.45"
    )
    assert exit_code(found.report) is ExitCode.USAGE


@pytest.mark.parametrize("answers", [(), (PROBE,), (TOKEN,), (Evidence(Stage.LOGIN, "", 200),), (PING, PING, PING)])
def test_answers_in_no_order_at_all(answers: tuple[Evidence, ...]) -> None:
    diagnose(asked(*answers))
    diagnose(asked(*answers, credential=nobody()))


# ---------------------------------------------------------------------- findings


def test_a_bare_name_asks_nobody() -> None:
    world = asked(*GOOD)
    found = diagnose(world, "app:1")
    assert shown(found, "reference") == "failed docker.io/library/app:1; PS101 unqualified-name"
    assert {shown(found, name) for name in STEPS[1:]} == {"skipped not asked: the reference comes first"}
    assert (world.connected, world.credentials.asked, world.registry.asked) == ([], [], [])
    assert exit_code(found.report) is ExitCode.LINT


def test_a_warning_is_named_and_leaves_the_tick() -> None:
    found = diagnose(asked(*GOOD), NAME)
    assert shown(found, "reference") == f"ok {NAME}:latest; PS103 implicit-tag"


def test_an_immutable_tag_that_would_change() -> None:
    world = asked(*GOOD, manifest=ManifestInfo(sha("b"), OCI_MANIFEST))
    assert exit_code(diagnose(world).report) is ExitCode.OK
    found = diagnose(world, immutable=("1",))
    assert shown(found, "tag now").startswith("failed ")
    assert exit_code(found.report) is ExitCode.LINT


def test_a_token_server_in_clear() -> None:
    problem = "registry.test wants the credential sent to evil.test over plain HTTP"
    world = asked()
    world.registry.preflights = {NAME: (Preflight((PING,), problem, "evil.test"),)}
    found = diagnose(world)
    assert shown(found, "token") == f"unknown {problem}"
    assert shown(found, "challenge") == f"failed {BEARER}; PS304 cleartext-credential"
    assert exit_code(found.report) is ExitCode.LINT


@pytest.mark.parametrize(
    ("answers", "step"),
    [((PING, TOKEN, PROBE), "push probe"), ((PING,), "token"), ((), "registry")],
    ids=["uploads", "token server", "registry"],
)
def test_a_registry_that_leads_elsewhere(answers: tuple[Evidence, ...], step: str) -> None:
    stage = {"push probe": Stage.PROBE, "token": Stage.TOKEN, "registry": Stage.PING}[step]
    problem = "" if step == "push probe" else LED
    found = diagnose(asked(*answers, Evidence(stage, LED, code=WRONG_ADDRESS), problem=problem))
    assert shown(found, step) == f"failed {LED}" if step == "registry" else f"failed WRONG_ADDRESS; {LED}"
    assert exit_code(found.report) is ExitCode.FAILED
    shown_whole = human.render_diagnosis(found)
    assert "may be pushed" not in shown_whole
    assert "X-Forwarded-Proto" in shown_whole


LED = "registry.test sends uploads to http://core:8080, which is not its own address: connection refused"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_is_about_a_step(rule: Rule) -> None:
    assert rule.step in STEPS


@pytest.mark.parametrize("needs", list(Needs), ids=lambda needs: needs.value)
@pytest.mark.parametrize("step", STEPS)
def test_a_rule_of_a_family_that_is_new(needs: Needs, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(facts: Sequence[Facts]) -> Iterator[Problem]:
        return (Problem(fact.reference, "it is new") for fact in facts)

    new = RULES[0]._replace(
        code="PS901", slug="new-rule", severity=Severity.WARNING, needs=needs, step=step, check=check
    )
    monkeypatch.setattr(rules, "RULES", (*RULES, new))
    found = diagnose(asked(*GOOD))
    assert [one.name for one in found.steps if "PS901 new-rule" in one.detail] == [step]
    assert exit_code(found.report) is ExitCode.OK


# ---------------------------------------------------------------------- what is shown


def test_the_text() -> None:
    shown_text = human.render_diagnosis(diagnose(asked(PING, TOKEN._replace(granted=("pull",)), REFUSED)))
    assert (
        shown_text
        == f"""\
✓ reference   {REF}
✓ engine      docker 28.5.2, classic image store
✓ image       {sha("a")}  linux/amd64
✓ credential  found in the config file /home/ada/.docker/config.json, user ada
✓ registry    401 to GET https://registry.test/v2/ without a credential
✓ challenge   {BEARER}
✓ token       200; a token was given
✗ grant       pull only: push is missing
✗ push probe  401; DENIED; requested access to the resource is denied
✓ tag now     the registry does not hold it

✗ {REF} denied: insufficient-permission (no-write-permission)
  the account 'ada' is logged in to registry.test and may not push to team/app; \
that needs the right to write (push) to the repository
  next: docker login registry.test -u ACCOUNT

nothing was pushed
"""
    )


@pytest.mark.parametrize("case", range(len(SAYS)))
def test_no_secret_is_shown_and_colour_changes_nothing_but_colour(case: int) -> None:
    found = diagnose(SAYS[case][0])
    plain, colored = human.render_diagnosis(found), human.render_diagnosis(found, color=True)
    assert "hunter2!" not in plain + json_report.render_diagnosis(found)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_the_schema_names_every_step_and_status_and_can_fail() -> None:
    step = SCHEMA["properties"]["steps"]["items"]["properties"]
    assert set(step["name"]["enum"]) == {*STEPS, *(name for names in MORE.values() for name in names)}
    assert set(step["status"]["enum"]) == {status.value for status in StepStatus}
    document = json.loads(json_report.render_diagnosis(diagnose(asked(PING, OPAQUE, REFUSED))))
    document["denial"]["kind"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA, registry=SCHEMAS).validate(document)
