"""What the preflight foresees is what the push then meets: every engine, every registry, every credential layout."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pushsafe.model.outcomes import Denied, Failed, NotPushed, Pushed, Ready
from pushsafe.model.report import PreflightVerdict, Report
from pushsafe.model.request import Asks
from pushsafe.model.verdicts import DenialReason
from tests import lab
from tests.contract.credentials.cases import NOTHING, helper
from tests.fakes.quirks import ACCEPTED, NAME, QUIRKS, Cause, Meets, Quirk, kind_of
from tests.fakes.registry import FakeRegistry
from tests.fakes.storing import Storing
from tests.lab import Lab, LabEngine, LabRegistry, engine_api
from tests.lab.plugin import User, auth, token

ENGINES = ("classic-20", "classic-new", "containerd-new", "isolated-classic", "isolated-containerd")
IMAGE = f"agreement.test/image-{uuid.uuid4().hex[:8]}:1"  # a name for each worker: it is deleted at the end
SEVERAL = 4
"""How many push to one engine at the same time."""
ALLOWED = ("PS301", "PS302", "PS303", "PS304")
"""Rules that would keep a push without a credential, or with one in clear, from the engine."""

NOT_LOGGED_IN, REJECTED = DenialReason.NOT_LOGGED_IN, DenialReason.CREDENTIAL_REJECTED
NO_RIGHT = DenialReason.NO_WRITE_PERMISSION
YES, REFUSED, UNKNOWN = PreflightVerdict.ACCEPTED, PreflightVerdict.REFUSED, PreflightVerdict.UNKNOWN


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, the_lab: Lab) -> Iterator[LabEngine]:
    """With one image, which is pushed again and again."""
    engine = the_lab.engines[request.param]
    lab.load_image(engine, IMAGE, layers=[b"agreement", uuid.uuid4().bytes])
    yield engine
    engine_api.request(engine.socket, "DELETE", f"/images/{IMAGE}")


@dataclass(frozen=True)
class Verdicts:
    """What came of the same reference: asked beforehand, and pushed without asking."""

    before: Report
    after: Report

    @property
    def foreseen(self) -> PreflightVerdict:
        (check,) = self.before.preflight
        return check.verdict


def cause(report: Report) -> Cause:
    """What became of a run's one tag."""
    (result,) = report.results
    match result.outcome:
        case Denied(denial):
            assert denial.kind is kind_of(denial.reason)
            return denial.reason
        case Failed(failure):
            return failure.kind
        case Ready() | Pushed():
            return ACCEPTED
        case NotPushed(why):
            pytest.fail(f"not pushed: {why}; {report.findings}")


def ask(user: User, engine: LabEngine, reference: str) -> Report:
    """`docker pushsafe lint`, where a missing login alone is no refusal: the registry's own one is looked for."""
    return user.run_here(engine.host, reference, asks=Asks.PREFLIGHT, pushes=False, allowed=ALLOWED)


def push(user: User, engine: LabEngine, reference: str) -> Report:
    """`docker pushsafe --no-preflight`, whatever the rules say of the login."""
    return user.run_here(engine.host, reference, asks=Asks.LOGIN, pushes=True, allowed=ALLOWED)


def name(engine: LabEngine, reference: str) -> None:
    repository, _, tag = reference.rpartition(":")
    engine_api.request(engine.socket, "POST", f"/images/{IMAGE}/tag?repo={quote(repository, safe='')}&tag={tag}")


def unname(engine: LabEngine, reference: str) -> None:
    engine_api.request(engine.socket, "DELETE", f"/images/{reference}")


def all_agree(rows: list[Any], look: Callable[[int, Any], str]) -> None:
    """Look at every row, several at the same time; `look` says what does not agree."""
    with ThreadPoolExecutor(SEVERAL) as several:
        wrong = [found for found in several.map(look, range(len(rows)), rows) if found]
    assert not wrong, "\n".join(wrong)


def differing(what: str, found: object, expected: object) -> str:
    return "" if found == expected else f"{what}: {found} is not {expected}"


# ---------------------------------------------------------------------- real registries


@dataclass(frozen=True)
class Place:
    """A registry as a layout writes of it; `token` fetches what a token server gives: an account's and a kind's."""

    host: str
    passwords: Mapping[str, str]
    token: Callable[[str, str], str]

    def login(self, account: str) -> dict[str, str]:
        return auth(account, self.passwords[account])


@dataclass(frozen=True)
class Layout:
    """Where a credential lies, and what a push with it meets by the registry's scheme: None where it takes none such.

    `by_words` is the push's verdict where only the engine reaches the registry, if that differs.
    """

    name: str
    config: Callable[[Place], dict[str, object]]
    basic: Cause | None
    bearer: Cause | None
    needs: str = "writer"
    by_words: Cause | None = None
    helpers: Callable[[Place], Mapping[str, str]] = lambda _place: {}
    variables: Callable[[Place], Mapping[str, str]] = lambda _place: {}

    def true(self, registry: LabRegistry) -> Cause | None:
        """None where such a credential cannot be had for the registry."""
        if not registry.scheme:
            return ACCEPTED
        if self.needs not in registry.users:
            return None
        return self.basic if registry.scheme == "Basic" else self.bearer

    def user(self, home: Path, place: Place) -> User:
        programs = home / "bin"
        programs.mkdir(parents=True)
        for helper_name, script in self.helpers(place).items():
            program = programs / f"docker-credential-{helper_name}"
            program.write_text(script)
            program.chmod(0o755)
        user = User(home, home, {"PATH": f"{programs}:/usr/bin:/bin", **self.variables(place)})
        user.configure(self.config(place))
        return user


def auths(entry: Callable[[Place], Mapping[str, str]]) -> Callable[[Place], dict[str, object]]:
    return lambda place: {"auths": {place.host: entry(place)}}


def helper_of(account: str) -> Callable[[Place], Mapping[str, str]]:
    def scripts(place: Place) -> Mapping[str, str]:
        return {
            "fake": helper(json.dumps({"ServerURL": "$key", "Username": account, "Secret": place.passwords[account]}))
        }

    return scripts


def variable_of(account: str) -> Callable[[Place], Mapping[str, str]]:
    return lambda place: {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {place.host: place.login(account)}})}


_wrong = auths(lambda _place: auth("writer", "not-the-password-of-writer"))


LAYOUTS = (
    #      name               config                                                    Basic          Bearer
    Layout("nobody", lambda _place: {}, NOT_LOGGED_IN, NOT_LOGGED_IN),
    Layout("wrong password", _wrong, REJECTED, REJECTED),
    Layout("unknown account", auths(lambda _place: auth("stranger", "a-password")), REJECTED, REJECTED),
    Layout("reader", auths(lambda place: place.login("reader")), NO_RIGHT, NO_RIGHT, needs="reader"),
    Layout("writer", auths(lambda place: place.login("writer")), ACCEPTED, ACCEPTED),
    Layout(
        "legacy key", lambda place: {"auths": {f"https://{place.host}/v1/": place.login("writer")}}, ACCEPTED, ACCEPTED
    ),
    Layout(
        "without the port", lambda place: {"auths": {"127.0.0.1": place.login("writer")}}, NOT_LOGGED_IN, NOT_LOGGED_IN
    ),
    Layout(
        "under another name",
        lambda place: {"auths": {place.host.replace("127.0.0.1", "localhost"): place.login("writer")}},
        NOT_LOGGED_IN,
        NOT_LOGGED_IN,
    ),
    Layout(
        "credHelpers",
        lambda place: {"credHelpers": {place.host: "fake"}},
        ACCEPTED,
        ACCEPTED,
        helpers=helper_of("writer"),
    ),
    Layout(
        "credHelpers, reader",
        lambda place: {"credHelpers": {place.host: "fake"}},
        NO_RIGHT,
        NO_RIGHT,
        needs="reader",
        helpers=helper_of("reader"),
    ),
    Layout(
        "credsStore has nothing",
        lambda place: {"credsStore": "fake", "auths": {place.host: place.login("writer")}},
        NOT_LOGGED_IN,
        NOT_LOGGED_IN,
        helpers=lambda _place: {"fake": NOTHING},
    ),
    Layout("environment", lambda _place: {}, ACCEPTED, ACCEPTED, variables=variable_of("writer")),
    Layout("environment wins", _wrong, ACCEPTED, ACCEPTED, variables=variable_of("writer")),
    Layout(
        "environment, reader",
        auths(lambda place: place.login("writer")),
        NO_RIGHT,
        NO_RIGHT,
        needs="reader",
        variables=variable_of("reader"),
    ),
    Layout("identity token", auths(lambda place: {"identitytoken": place.token("writer", "refresh")}), None, ACCEPTED),
    Layout(
        "identity token, reader",
        auths(lambda place: {"identitytoken": place.token("reader", "refresh")}),
        None,
        NO_RIGHT,
        needs="reader",
    ),
    Layout("identity token, wrong", auths(lambda _place: {"identitytoken": "no-token-of-ours"}), None, REJECTED),
    Layout("registry token", auths(lambda place: {"registrytoken": place.token("writer", "access")}), None, ACCEPTED),
    Layout(
        "registry token, reader",
        auths(lambda place: {"registrytoken": place.token("reader", "access")}),
        None,
        NO_RIGHT,
        needs="reader",
        by_words=DenialReason.UNCLEAR,
    ),
    Layout(
        "registry token, wrong",
        auths(lambda _place: {"registrytoken": "no-token-of-ours"}),
        None,
        REJECTED,
        by_words=DenialReason.UNCLEAR,
    ),
)


@pytest.mark.parametrize("registry_name", ["open", "htpasswd", "token", "basic-roles"])
@pytest.mark.every_engine
def test_real_registries(engine: LabEngine, the_lab: Lab, registry_name: str, tmp_path: Path) -> None:
    registry = the_lab.registries[f"isolated-{registry_name}" if engine.isolated else registry_name]
    passwords = {**the_lab.registries["token"].users, **registry.users}

    def look(number: int, layout: Layout) -> str:
        repository = f"team/agree-{uuid.uuid4().hex[:8]}"
        reference = f"{registry.host}/{repository}:1"
        user = layout.user(tmp_path / str(number), Place(registry.host, passwords, partial(token, the_lab, repository)))
        name(engine, reference)
        found = Verdicts(ask(user, engine, reference), push(user, engine, reference))
        unname(engine, reference)
        true = layout.true(registry)
        told = cause(found.before), cause(found.after)
        by_words = layout.by_words if registry.scheme else None
        # The engine alone reaches it: whether it accepts a password is all that can be known beforehand.
        if engine.isolated and (true is not REJECTED or by_words):
            expected: tuple[object, ...] = (UNKNOWN, ACCEPTED, by_words or true)
        else:
            expected = (YES if true == ACCEPTED else REFUSED, true, true)
        return differing(layout.name, (found.foreseen, *told), expected)

    all_agree([layout for layout in LAYOUTS if layout.true(registry) is not None], look)


# ---------------------------------------------------------------------- scripted registries


HERE = tuple(name for name in ENGINES if not name.startswith("isolated"))


def foreseeable(meets: Meets, true: Cause) -> PreflightVerdict:
    """The table's word; but where the containerd store has the push accepted, nothing is refused."""
    return YES if true == ACCEPTED and meets.preflight is REFUSED else meets.preflight


@pytest.mark.parametrize("engine", HERE, indirect=True)
@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: str(quirk.name))
def test_scripted_registries(quirk: Quirk, engine: LabEngine, tmp_path: Path) -> None:
    def look(number: int, meets: Meets) -> str:
        user = User(tmp_path / str(number), tmp_path)
        true, _ = meets.by(engine.store)

        def at_a_new_one(do: Callable[[User, LabEngine, str], Report]) -> tuple[Report, int]:
            with FakeRegistry(quirk.rules(Storing())) as registry:
                user.log_in({registry.host: meets.login} if meets.login else {})
                reference = f"{registry.host}/{NAME}:1"
                name(engine, reference)
                report = do(user, engine, reference)
                unname(engine, reference)
                return report, len(registry.requests)

        before, requests = at_a_new_one(ask)
        foreseen = foreseeable(meets, true)
        (check,) = before.preflight
        found: tuple[object, ...] = (check.verdict, cause(before))
        expected: tuple[object, ...] = (foreseen, true if foreseen is REFUSED else ACCEPTED)
        if foreseen is REFUSED and requests > quirk.requests:
            found, expected = (*found, f"{requests} requests"), (*expected, f"at most {quirk.requests} requests")
        # A classic engine tries for a minute there, and then says the words of tests/fakes/quirks.py.
        if not (meets.lasting and engine.store == "classic"):
            after, _ = at_a_new_one(push)
            found, expected = (*found, cause(after)), (*expected, true)
        return differing(f"{quirk.name}, {meets.login}", found, expected)

    all_agree(list(quirk.meets), look)
