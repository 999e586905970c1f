"""Foreseeing a refusal as a table: only what is certain, from what was learnt before anything was pushed."""

from __future__ import annotations

from dataclasses import dataclass

from pushsafe.denial.classify import foresee
from pushsafe.denial.refusal import Refusal, beforehand, credential_evidence
from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import Evidence, Preflight, Stage
from pushsafe.model.facts import EngineInfo, EngineKind, Facts
from pushsafe.model.verdicts import Denial, DenialReason, Failure, FailureKind
from tests.evidence import (
    AWAY,
    BASIC,
    BEARER,
    EXPIRED,
    FOREIGN,
    NO_RIGHT,
    NOT_LOGGED_IN,
    NOT_SENT,
    OPEN,
    REJECTED,
    SMALL_SCOPE,
    engine_login,
    led,
    login,
    ping,
    probe,
    token,
)
from tests.values import AMD64, broken, logged_in, nobody, ref

NOW = 1_700_000_000.0
ADA = logged_in()
OLD = logged_in(expires=NOW - 1)
HUB = logged_in("docker.io", "ada")
ROBOT = logged_in("quay.io", "team+ci")
NOBODY = nobody()
PUSH = ("pull", "push")

MISSING, POLICY = FailureKind.REPOSITORY_MISSING, FailureKind.POLICY

UNKNOWN_NAME = "repository name not known to registry"
OPAQUE_403 = (BEARER, token(200), probe(403))
OPAQUE_401 = (BEARER, token(200), probe(401))
NOBODYS = token(200, sent=False)
NOBODYS_GRANT = token(200, (), sent=False)


@dataclass(frozen=True)
class Case:
    """`verdict` is None where a push has to be tried."""

    name: str
    credential: Credential
    learnt: tuple[Evidence, ...]
    verdict: DenialReason | FailureKind | None
    reference: str = "registry.test/team/app:1"
    store: EngineKind | None = CLASSIC

    def refusal(self) -> Refusal:
        evidence = (credential_evidence(self.credential), *self.learnt)
        return Refusal(ref(self.reference), self.credential, evidence, NOW, self.store)


CASES = (
    # ------------------------------------------------------------------ accepted
    Case("basic", ADA, (BASIC, token(200), probe(202)), None),
    Case("bearer", ADA, (BEARER, token(200, PUSH), probe(202)), None),
    Case("opaque", ADA, (BEARER, token(200), probe(202)), None),
    Case("open", ADA, (OPEN, probe(202, sent=False)), None),
    Case("open-and-nobody", NOBODY, (OPEN, probe(202, sent=False)), None),
    Case("nobody-may-write", NOBODY, (BEARER, NOBODYS_GRANT, probe(202, sent=False)), None),
    Case("expired-and-taken-all-the-same", OLD, (BASIC, token(200), probe(202)), None),
    Case("accepted-against-the-grant", ADA, (BEARER, token(200, ("pull",)), probe(202)), None),
    # ------------------------------------------------------------------ nobody is logged in
    Case("nobody-at-basic", NOBODY, (BASIC, probe(401, sent=False)), NOT_LOGGED_IN),
    Case("nobody-at-bearer", NOBODY, (BEARER, NOBODYS_GRANT, probe(401, sent=False)), NOT_LOGGED_IN),
    Case("nobody-and-403", NOBODY, (BEARER, NOBODYS_GRANT, probe(403, sent=False)), NOT_LOGGED_IN),
    Case("nobody-and-no-token", NOBODY, (BEARER, token(401, sent=False)), NOT_LOGGED_IN),
    Case("nobody-at-an-open-one", NOBODY, (OPEN, probe(401, sent=False)), NOT_LOGGED_IN),
    Case("a-broken-helper", broken(), (BASIC, probe(401, sent=False)), NOT_LOGGED_IN),
    Case("nobody-and-a-missing-repository", NOBODY, (OPEN, probe(404, UNKNOWN_NAME, sent=False)), MISSING),
    Case("nobody-and-403-without-a-challenge", NOBODY, (OPEN, probe(403, sent=False)), None),
    Case("nobody-and-a-busy-token-server", NOBODY, (BEARER, token(503, sent=False)), None),
    Case("nobody-and-a-busy-registry", NOBODY, (BEARER, NOBODYS_GRANT, probe(503, sent=False)), None),
    Case("nobody-and-a-limit", NOBODY, (BEARER, token(429, message="too many requests", sent=False)), None),
    Case("nobody-and-the-challenge-alone", NOBODY, (BEARER,), None),
    Case("nobody-and-away", NOBODY, (AWAY,), None),
    # ------------------------------------------------------------------ the credential
    Case("wrong-at-basic", ADA, (BASIC, token(401)), REJECTED),
    Case("wrong-at-bearer", ADA, (BEARER, token(401)), REJECTED),
    Case("wrong-for-the-engine", ADA, (AWAY, engine_login(401, "unauthorized")), REJECTED),
    Case("wrong-by-words", ADA, (BEARER, token(403, message="incorrect username or password")), REJECTED),
    Case("forbidden-twice", ADA, (BEARER, token(403), login(403)), REJECTED),
    Case("unknown-without-a-scope", ADA, (BEARER, token(403), login(401)), REJECTED),
    Case("expired", OLD, (BASIC, token(403)), EXPIRED),
    Case("expired-at-the-upload", OLD, (BEARER, token(200), probe(403)), EXPIRED),
    Case("expired-by-words", ADA, (BASIC, token(403, message="Your authorization token has expired.")), EXPIRED),
    Case("expired-and-busy", OLD, (BEARER, token(503)), None),
    # ------------------------------------------------------------------ it stays at home
    Case("half-open", ADA, (OPEN, probe(401, sent=False), token(200), probe(202)), NOT_SENT),
    Case("half-open-403", ADA, (OPEN, probe(403, sent=False), probe(202)), NOT_SENT),
    Case("half-open-containerd", ADA, (OPEN, probe(401, sent=False), token(200), probe(202)), None, store=CONTAINERD),
    Case("half-open-and-no-engine", ADA, (OPEN, probe(401, sent=False), probe(202)), None, store=None),
    Case("half-open-and-wrong", ADA, (OPEN, probe(401, sent=False), token(401)), REJECTED),
    Case("half-open-and-no-right", ADA, (OPEN, probe(401, sent=False), token(200), probe(403)), NO_RIGHT),
    Case("half-open-and-busy", ADA, (OPEN, probe(401, sent=False), token(200), probe(503)), None),
    # ------------------------------------------------------------------ the right
    Case("a-grant-without-push", ADA, (BEARER, token(200, ("pull",)), probe(401)), NO_RIGHT),
    Case("an-empty-grant", ADA, (BEARER, token(200, ()), probe(401)), NO_RIGHT),
    Case("a-grant-and-403", ADA, (BEARER, token(200, PUSH), probe(403, code="DENIED")), NO_RIGHT),
    # Whoever stands before the registry refused, or the registry does not trust the token server.
    Case("a-grant-and-403-of-nobody", ADA, (BEARER, token(200, PUSH), probe(403)), None),
    Case("a-grant-and-401", ADA, (BEARER, token(200, PUSH), probe(401)), None),
    Case(
        "a-grant-and-403-at-home",
        HUB,
        (BEARER, token(200, PUSH), probe(403, code="DENIED")),
        NO_RIGHT,
        "docker.io/ada/app:1",
    ),
    Case("basic-and-403", ADA, (BASIC, token(200), probe(403)), NO_RIGHT),
    Case("basic-and-401", ADA, (BASIC, token(200), probe(401)), NO_RIGHT),
    Case("registry-token", ADA._replace(kind=CredentialKind.REGISTRY_TOKEN), (BEARER, probe(403)), NO_RIGHT),
    Case("known-without-a-scope", ADA, (BEARER, token(403), login(200)), NO_RIGHT),
    Case("gitlab", ADA, (BEARER, token(403, message="access forbidden")), NO_RIGHT),
    Case("hub-elsewhere", HUB, (BEARER, token(200, ("pull",)), probe(401)), FOREIGN, "docker.io/eve/app:1"),
    Case("hub-at-home", HUB, (BEARER, token(200, ("pull",)), probe(401)), SMALL_SCOPE, "docker.io/ada/app:1"),
    Case("robot-elsewhere", ROBOT, (BEARER, token(200, ()), probe(401)), FOREIGN, "quay.io/eve/app:1"),
    Case("robot-at-home", ROBOT, (BEARER, token(200, ()), probe(401)), SMALL_SCOPE, "quay.io/team/app:1"),
    Case("opaque-and-no-token-for-nobody", ADA, (*OPAQUE_403, token(401, sent=False)), NO_RIGHT),
    Case("opaque-and-nobody-401", ADA, (*OPAQUE_403, NOBODYS, probe(401, sent=False)), NO_RIGHT),
    Case("opaque-and-known", ADA, (*OPAQUE_401, NOBODYS, login(200), login(401, sent=False)), NO_RIGHT),
    Case("opaque-and-unknown", ADA, (*OPAQUE_401, NOBODYS, login(401)), REJECTED),
    Case("opaque-and-nobody-the-same", ADA, (*OPAQUE_403, NOBODYS, probe(403, sent=False)), None),
    Case("opaque-and-nobody-may", ADA, (*OPAQUE_403, NOBODYS, probe(202, sent=False)), None),
    Case("opaque-and-nobody-as-welcome", ADA, (*OPAQUE_401, NOBODYS, login(200), login(200, sent=False)), None),
    Case("opaque-401-and-nobody-was-not-asked", ADA, OPAQUE_401, None),
    Case("token-403-and-nothing-more", ADA, (BEARER, token(403)), None),
    Case("token-403-and-an-odd-login", ADA, (BEARER, token(403), login(500)), None),
    # ------------------------------------------------------------------ the registry names another cause
    Case("missing-by-name", ADA, (BEARER, token(200, PUSH), probe(404, UNKNOWN_NAME, "NAME_UNKNOWN")), MISSING),
    Case("missing-by-its-code", ADA, (BEARER, token(200, PUSH), probe(404, "", "NAME_UNKNOWN")), MISSING),
    Case("a-bare-404", ADA, (BEARER, token(200, PUSH), probe(404)), None),
    Case("read-only", ADA, (BEARER, token(200, PUSH), probe(405, "The operation is unsupported.")), POLICY),
    Case("a-quota", ADA, (BASIC, token(200), probe(403, "exceeded its image storage quota")), POLICY),
    Case("a-firewall", ADA, (BEARER, token(403, message="IP '10.0.0.1' is not allowed access. Refer")), POLICY),
    # ------------------------------------------------------------------ away, busy, odd
    Case("away", ADA, (AWAY,), None),
    Case("away-and-the-engine-logs-in", ADA, (AWAY, engine_login(200, "login succeeded")), None),
    Case("away-for-the-engine-too", ADA, (AWAY, engine_login(500, "dial tcp: connection refused")), None),
    Case("away-and-a-silent-engine", ADA, (AWAY, engine_login(None, "it is silent")), None),
    Case("nothing-was-learnt", ADA, (), None),
    Case("the-challenge-alone", ADA, (BEARER,), None),
    Case("no-token-in-the-answer", ADA, (BEARER, token(200, message="the token server's answer holds no token")), None),
    *(Case(f"token-{status}", ADA, (BEARER, token(status)), None) for status in (400, 404, 429, 500, 503)),
    *(
        Case(f"upload-{status}", ADA, (BEARER, token(200, PUSH), probe(status)), None)
        for status in (307, 405, 429, 500)
    ),
    *(Case(f"base-{status}", ADA, (ping(status), probe(401, sent=False)), None) for status in (403, 404, 429, 503)),
    Case("a-limit-by-its-words", ADA, (BASIC, token(200), probe(403, "a secondary rate limit. Please wait")), None),
)


def test_what_is_foreseen() -> None:
    for case in CASES:
        found = foresee(case.refusal())
        if found is None:
            assert case.verdict is None, case.name
            continue
        assert (found.reason if isinstance(found, Denial) else found.kind) is case.verdict, case.name
        assert found.evidence == case.refusal().evidence, case.name


LED = "https://registry.test sends uploads to http://registry.test, which is not its own address: it is plain HTTP"
ASTRAY = {
    "somebody's upload": (ADA, (BEARER, token(200, PUSH), probe(202), led(Stage.PROBE, LED))),
    "an expired login's": (OLD, (BEARER, token(200, PUSH), probe(202), led(Stage.PROBE, LED))),
    "anybody's": (NOBODY, (OPEN, probe(202, sent=False), led(Stage.PROBE, LED, sent=False))),
    "a token server": (ADA, (BEARER, led(Stage.TOKEN, LED))),
    "a registry": (ADA, (led(Stage.PING, LED),)),
}


def test_a_registry_that_names_another_address_is_no_refusal() -> None:
    """Nor one that anything but its own settings, or its proxy's, would change."""
    for case, (credential, learnt) in ASTRAY.items():
        found = foresee(Case("led", credential, learnt, None).refusal())
        assert isinstance(found, Failure), case
        assert (found.kind, found.message) == (FailureKind.REGISTRY_ERROR, LED), case
        assert "Host and X-Forwarded-Proto" in found.next[0], case
        assert "login" not in "".join(found.next), case


def test_nothing_unclear_is_foreseen() -> None:
    verdicts = {case.verdict for case in CASES}
    assert verdicts == {*DenialReason, MISSING, POLICY, None} - {DenialReason.UNCLEAR, DenialReason.NO_READ_PERMISSION}


def test_a_name_is_there_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


# ---------------------------------------------------------------------- what is said


def said(name: str) -> str:
    found = foresee(next(case for case in CASES if case.name == name).refusal())
    return "" if found is None else found.summary if isinstance(found, Denial) else found.message


def test_it_is_said_as_what_will_be() -> None:
    for name, words in (
        ("half-open", "the engine will not send the credential of the account 'ada'"),
        ("a-broken-helper", "the credential cannot be read (docker-credential-desktop: not found in PATH)"),
        ("expired", "has expired"),
        ("hub-elsewhere", "the namespace 'eve' is not that of the account 'ada'"),
        ("robot-elsewhere", "the namespace 'eve' is not that of the account 'team+ci'"),
        ("missing-by-name", UNKNOWN_NAME),
        ("missing-by-its-code", "NAME_UNKNOWN"),
        ("a-quota", "exceeded its image storage quota"),
    ):
        assert words in said(name), name


def test_the_nearest_login_is_named() -> None:
    for credential, words in (
        (nobody("registry.test", "registry.test:5000"), "there is a credential for registry.test:5000"),
        (NOBODY._replace(callers_config="/home/ada/.docker/config.json"), "sudo changed the home folder"),
        (nobody("registry.test", "ghcr.io"), ""),
    ):
        found = foresee(Refusal(ref("registry.test/a:1"), credential, (BASIC, probe(401, sent=False)), NOW))
        assert isinstance(found, Denial), words
        before, _, near = found.summary.partition("; ")
        assert before == "not logged in to registry.test", words
        assert words in near, words
        assert bool(near) is bool(words), words


def test_a_preflight_as_a_refusal() -> None:
    preflight = Preflight((BASIC, token(401)))
    engine = EngineInfo("28.5.2", "1.51", CLASSIC, AMD64)
    fact = Facts(ref("registry.test/a:1"), credential=ADA, preflight=preflight, engine=engine)
    evidence = (credential_evidence(ADA), *preflight.evidence)
    assert beforehand(fact, NOW) == Refusal(fact.reference, ADA, evidence, NOW, CLASSIC)
    assert beforehand(fact._replace(engine=None), NOW).engine is None
