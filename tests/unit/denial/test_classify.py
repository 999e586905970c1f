"""The decision over evidence as a table: what was learnt comes first, the words of the server last."""

from __future__ import annotations

from dataclasses import dataclass

from pushsafe.denial import reasons
from pushsafe.denial.classify import classify, needs_investigation
from pushsafe.denial.refusal import Refusal, credential_evidence, refusal_of
from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import Evidence, Stage, TagAbsent, TagHeld, TagUnknown
from pushsafe.model.facts import EngineKind, Facts
from pushsafe.model.verdicts import Denial, DenialKind, DenialReason, Failure, FailureKind
from pushsafe.oci.manifest import OCI_MANIFEST, ManifestInfo
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
    probe,
    token,
)
from tests.values import broken, logged_in, nobody, ref, said

NOW = 1_700_000_000.0
DENIED = "denied: requested access to the resource is denied"
INSUFFICIENT = (
    "push access denied, repository does not exist or may require authorization: "
    "server message: insufficient_scope: authorization failed"
)

ADA = logged_in()
OLD = logged_in(expires=NOW - 1)
FRESH = logged_in(expires=NOW + 1)
HUB = logged_in("docker.io", "ada")
ROBOT = logged_in("quay.io", "team+ci")
NOBODY = nobody()

UNCLEAR = DenialReason.UNCLEAR


OPAQUE_403 = (BEARER, token(200), probe(403))
OPAQUE_401 = (BEARER, token(200), probe(401))
NOBODYS = token(200, sent=False)


@dataclass(frozen=True)
class Case:
    """`words` are the engine's, `learnt` what was asked after them."""

    name: str
    credential: Credential
    words: str
    learnt: tuple[Evidence, ...]
    verdict: DenialReason | FailureKind
    reference: str = "registry.test/team/app:1"
    store: EngineKind = CLASSIC

    def refusal(self) -> Refusal:
        evidence = (credential_evidence(self.credential), said(self.words), *self.learnt)
        return Refusal(ref(self.reference), self.credential, evidence, NOW, self.store)


CASES = (
    # ------------------------------------------------------------------ nobody was logged in
    Case(
        "bearer-anonymous", NOBODY, DENIED, (BEARER, token(200, (), sent=False), probe(401, sent=False)), NOT_LOGGED_IN
    ),
    Case("bearer-anonymous-containerd", NOBODY, INSUFFICIENT, (BEARER, token(401, sent=False)), NOT_LOGGED_IN),
    Case("basic-anonymous", NOBODY, "no basic auth credentials", (BASIC, probe(401, sent=False)), NOT_LOGGED_IN),
    Case("anonymous-and-not-asked", NOBODY, DENIED, (AWAY,), NOT_LOGGED_IN),
    Case(
        "anonymous-with-words-of-a-right", NOBODY, "denied: permission_denied: write_package", (BEARER,), NOT_LOGGED_IN
    ),
    Case(
        "anonymous-with-words-of-a-password", NOBODY, "unauthorized: authentication required", (BASIC,), NOT_LOGGED_IN
    ),
    Case("anonymous-at-an-open-registry", NOBODY, DENIED, (OPEN, probe(401, sent=False)), NOT_LOGGED_IN),
    Case("anonymous-by-a-broken-helper", broken(), DENIED, (BEARER,), NOT_LOGGED_IN),
    Case("anonymous-and-may-write-after-all", NOBODY, DENIED, (OPEN, probe(202, sent=False)), UNCLEAR),
    # ------------------------------------------------------------------ the credential is wrong
    Case("bearer-wrong-password", ADA, DENIED, (BEARER, token(401, code="UNAUTHORIZED")), REJECTED),
    Case("basic-wrong-password", ADA, "unauthorized: authentication required", (BASIC, token(401)), REJECTED),
    Case(
        "basic-wrong-password-containerd",
        ADA,
        "unknown: unexpected status from HEAD request to https://registry.test/v2/: 401 Unauthorized",
        (BASIC, token(401)),
        REJECTED,
    ),
    Case("rejected-by-the-engine", ADA, DENIED, (AWAY, engine_login(401, "unauthorized")), REJECTED),
    Case(
        "rejected-by-the-engine-as-500",
        ADA,
        DENIED,
        (AWAY, engine_login(500, "login attempt to http://r.test/v2/ failed with status: 401 Unauthorized")),
        REJECTED,
    ),
    Case("rejected-in-words-only", ADA, "unauthorized: incorrect username or password", (AWAY,), REJECTED),
    Case(
        "rejected-in-the-probe's-words",
        ADA,
        DENIED,
        (BEARER, token(200), probe(401, "Could not find robot with specified username")),
        REJECTED,
    ),
    # ------------------------------------------------------------------ the credential is too old
    Case("expired-and-403", OLD, DENIED, (BASIC, token(403, code="DENIED")), EXPIRED),
    Case("expired-and-401", OLD, DENIED, (BEARER, token(401)), EXPIRED),
    Case("expired-and-the-probe-refused", OLD, DENIED, (BEARER, token(200), probe(403)), EXPIRED),
    Case(
        "expired-and-the-engine-refused",
        OLD,
        DENIED,
        (AWAY, engine_login(500, "login attempt to http://r.test/v2/ failed with status: 401 Unauthorized")),
        EXPIRED,
    ),
    Case(
        "said-to-be-expired", ADA, DENIED, (BASIC, token(403, message="Your authorization token has expired.")), EXPIRED
    ),
    Case("expired-in-words-only", ADA, "denied: Your authorization token has expired.", (AWAY,), EXPIRED),
    Case("expired-this-very-second", logged_in(expires=NOW), DENIED, (BEARER, token(401)), EXPIRED),
    Case("still-good-and-rejected", FRESH, DENIED, (BEARER, token(401)), REJECTED),
    Case("still-good-and-refused", FRESH, DENIED, (BASIC, token(200), probe(403)), NO_RIGHT),
    Case("expired-and-accepted-all-the-same", OLD, DENIED, (BASIC, token(200), probe(202)), UNCLEAR),
    # ------------------------------------------------------------------ the credential stayed at home
    Case("open-and-not-sent", ADA, DENIED, (OPEN, probe(401, sent=False), token(200), probe(202)), NOT_SENT),
    Case(
        "open-and-the-containerd-store-sends-it",
        ADA,
        DENIED,
        (OPEN, probe(401, sent=False), token(200), probe(202)),
        UNCLEAR,
        store=CONTAINERD,
    ),
    Case(
        "open-and-no-words-of-a-refusal",
        ADA,
        "failed commit: invalid checksum digest length",
        (OPEN, probe(401, sent=False), token(200), probe(202)),
        FailureKind.REGISTRY_ERROR,
    ),
    Case("open-and-sent-for-nothing", ADA, DENIED, (OPEN, probe(202, sent=False)), UNCLEAR),
    Case("open-and-wrong-password", ADA, DENIED, (OPEN, probe(401, sent=False), token(401)), REJECTED),
    Case("open-and-no-right", ADA, DENIED, (OPEN, probe(401, sent=False), token(200), probe(403)), NO_RIGHT),
    # ------------------------------------------------------------------ the right is missing
    Case("bearer-grant-without-push", ADA, DENIED, (BEARER, token(200, ("pull",)), probe(401)), NO_RIGHT),
    Case("bearer-empty-grant", ADA, DENIED, (BEARER, token(200, ()), probe(401)), NO_RIGHT),
    Case("bearer-grant-and-no-probe", ADA, DENIED, (BEARER, token(200, ("pull",))), NO_RIGHT),
    Case(
        "bearer-grant-with-push-and-403",
        ADA,
        DENIED,
        (BEARER, token(200, ("pull", "push")), probe(403, code="DENIED")),
        NO_RIGHT,
    ),
    Case("bearer-grant-of-all-and-403", ADA, DENIED, (BEARER, token(200, ("*",)), probe(403, code="DENIED")), NO_RIGHT),
    Case("opaque-token-and-403", ADA, DENIED, (BEARER, token(200), probe(403)), NO_RIGHT),
    # A token that the server may give to anybody proves no login; a refusal for want of scope does.
    Case("opaque-token-and-401", ADA, INSUFFICIENT, (BEARER, token(200), probe(401)), UNCLEAR),
    Case(
        "opaque-token-and-401-for-want-of-scope",
        ADA,
        INSUFFICIENT,
        (BEARER, token(200), probe(401)._replace(challenge='Bearer realm="x" error="insufficient_scope"')),
        NO_RIGHT,
    ),
    Case("basic-and-401-after-the-login", ADA, DENIED, (BASIC, token(200), probe(401)), NO_RIGHT),
    *(
        Case(
            f"only-the-engine-asked-and-{words.split()[0]}",
            ADA,
            words,
            (AWAY, engine_login(200, "login succeeded")),
            FailureKind.REGISTRY_ERROR,
        )
        for words in (
            "received unexpected HTTP status: 500 Internal Server Error",
            "manifest invalid: manifest invalid",
            "no space left on device",
            "error from registry: disk full",
            "blob upload unknown to registry",
            "the engine ended the push without naming a digest",
        )
    ),
    Case("basic-and-403", ADA, "unauthorized: authentication required", (BASIC, token(200), probe(403)), NO_RIGHT),
    Case(
        "registry-token-and-403",
        ADA._replace(kind=CredentialKind.REGISTRY_TOKEN),
        DENIED,
        (BEARER, probe(403)),
        NO_RIGHT,
    ),
    Case("login-by-the-engine-only", ADA, DENIED, (AWAY, engine_login(200, "login succeeded")), NO_RIGHT),
    Case(
        "right-in-words-only", ADA, "denied: installation not allowed to Write organization package", (AWAY,), NO_RIGHT
    ),
    Case(
        "gitlab-knows-who-asks", ADA, DENIED, (BEARER, token(403, message="access forbidden", code="DENIED")), NO_RIGHT
    ),
    Case("hub-other-namespace", HUB, DENIED, (BEARER, token(200, ("pull",))), FOREIGN, "docker.io/eve/app:1"),
    Case("hub-own-namespace", HUB, DENIED, (BEARER, token(200, ("pull",))), SMALL_SCOPE, "docker.io/ada/app:1"),
    Case(
        "hub-own-namespace-in-capitals",
        logged_in("docker.io", "Ada"),
        DENIED,
        (BEARER, token(200, ("pull",))),
        SMALL_SCOPE,
        "docker.io/ada/app:1",
    ),
    Case(
        "hub-own-namespace-by-the-engine-only",
        HUB,
        DENIED,
        (AWAY, engine_login(200, "login succeeded")),
        NO_RIGHT,
        "docker.io/ada/app:1",
    ),
    Case(
        "hub-says-the-scope-is-too-small",
        HUB,
        DENIED,
        (BEARER, token(401, message="access token has insufficient scopes")),
        SMALL_SCOPE,
        "docker.io/eve/app:1",
    ),
    Case("other-user-elsewhere", ADA, DENIED, (BEARER, token(200, ("pull",))), NO_RIGHT, "registry.test/eve/app:1"),
    Case("hub-nameless", logged_in("docker.io", ""), DENIED, (BEARER, token(200, ())), NO_RIGHT, "docker.io/eve/app:1"),
    Case("quay-robot-elsewhere", ROBOT, DENIED, (BEARER, token(200, ())), FOREIGN, "quay.io/eve/app:1"),
    Case("quay-robot-at-home", ROBOT, DENIED, (BEARER, token(200, ())), SMALL_SCOPE, "quay.io/team/app:1"),
    Case("quay-account", logged_in("quay.io"), DENIED, (BEARER, token(200, ())), NO_RIGHT, "quay.io/eve/app:1"),
    # ------------------------------------------------------------------ the login without a scope
    Case("token-403-and-the-login-succeeds", ADA, DENIED, (BEARER, token(403), login(200)), NO_RIGHT),
    Case("token-403-and-the-login-fails", ADA, DENIED, (BEARER, token(403), login(401)), REJECTED),
    Case("token-403-and-the-login-is-forbidden", ADA, DENIED, (BEARER, token(403), login(403)), REJECTED),
    Case("token-403-and-the-login-is-odd", ADA, DENIED, (BEARER, token(403), login(500)), UNCLEAR),
    Case("token-403-and-the-login-succeeds-with-an-old-one", OLD, DENIED, (BEARER, token(403), login(200)), EXPIRED),
    Case(
        "hub-token-403-and-the-login-succeeds",
        HUB,
        DENIED,
        (BEARER, token(403), login(200)),
        FOREIGN,
        "docker.io/eve/app:1",
    ),
    # ------------------------------------------------------------------ compared with nobody
    Case("opaque-403-nobody-gets-no-token", ADA, DENIED, (*OPAQUE_403, token(401, sent=False)), NO_RIGHT),
    Case("opaque-403-nobody-is-forbidden-a-token", ADA, DENIED, (*OPAQUE_403, token(403, sent=False)), NO_RIGHT),
    Case("opaque-403-and-nobody-401", ADA, DENIED, (*OPAQUE_403, NOBODYS, probe(401, sent=False)), NO_RIGHT),
    Case("opaque-403-and-nobody-the-same", ADA, DENIED, (*OPAQUE_403, NOBODYS, probe(403, sent=False)), UNCLEAR),
    Case("opaque-403-and-nobody-may", ADA, DENIED, (*OPAQUE_403, NOBODYS, probe(202, sent=False)), UNCLEAR),
    Case(
        "opaque-403-and-nobody-is-answered-oddly", ADA, DENIED, (*OPAQUE_403, NOBODYS, probe(500, sent=False)), UNCLEAR
    ),
    Case("opaque-403-and-the-token-server-went-away", ADA, DENIED, (*OPAQUE_403, token(503, sent=False)), UNCLEAR),
    Case("opaque-401-nobody-gets-no-token", ADA, DENIED, (*OPAQUE_401, token(401, sent=False)), NO_RIGHT),
    Case(
        "opaque-401-and-known-at-the-base",
        ADA,
        DENIED,
        (*OPAQUE_401, NOBODYS, login(200), login(401, sent=False)),
        NO_RIGHT,
    ),
    Case(
        "opaque-401-and-nobody-is-as-welcome",
        ADA,
        DENIED,
        (*OPAQUE_401, NOBODYS, login(200), login(200, sent=False)),
        UNCLEAR,
    ),
    Case("opaque-401-and-unknown-at-the-base", ADA, DENIED, (*OPAQUE_401, NOBODYS, login(401)), REJECTED),
    Case("opaque-401-and-the-base-is-odd", ADA, DENIED, (*OPAQUE_401, NOBODYS, login(500)), UNCLEAR),
    Case("opaque-401-expired", OLD, DENIED, (*OPAQUE_401, NOBODYS, login(401)), EXPIRED),
    # A grant that can be read needs no comparison, and none is believed against it.
    Case(
        "a-grant-beside-nobodys",
        ADA,
        DENIED,
        (BEARER, token(200, ("pull",)), probe(403), NOBODYS, probe(403, sent=False)),
        NO_RIGHT,
    ),
    # ------------------------------------------------------------------ wrong words, clear evidence
    Case("words-in-an-accepted-answer", ADA, DENIED, (token(200, ("pull",), "toomanyrequests: soon"),), NO_RIGHT),
    Case(
        "no-credentials-says-a-probe-that-had-them",
        ADA,
        DENIED,
        (BASIC, token(200), probe(401, "no basic auth credentials")),
        NO_RIGHT,
    ),
    Case("unknown-words-and-nobody-where-a-login-is-wanted", NOBODY, "the moon is wrong", (BEARER,), NOT_LOGGED_IN),
    Case("words-of-a-right-but-401", ADA, "denied: permission_denied: x", (BEARER, token(401)), REJECTED),
    Case(
        "words-of-a-password-but-403",
        ADA,
        "unauthorized: incorrect username or password",
        (BASIC, token(200), probe(403)),
        NO_RIGHT,
    ),
    Case("words-of-no-login-but-403", ADA, "no basic auth credentials", (BASIC, token(200), probe(403)), NO_RIGHT),
    Case("unknown-words-but-403", ADA, "the moon is wrong", (BEARER, token(200), probe(403)), NO_RIGHT),
    # ------------------------------------------------------------------ it cannot be told
    Case("anonymous-and-nobody-asks-for-a-login", NOBODY, DENIED, (OPEN, probe(403, sent=False)), UNCLEAR),
    Case("anonymous-and-words-of-its-own", NOBODY, "denied: your IP address is blocked", (AWAY,), UNCLEAR),
    Case("nothing-was-learnt", ADA, DENIED, (), UNCLEAR),
    Case("the-engine-could-not-ask", ADA, DENIED, (AWAY, engine_login(None, "it is silent")), UNCLEAR),
    Case("the-probe-was-accepted", ADA, DENIED, (BEARER, token(200, ("pull", "push")), probe(202)), UNCLEAR),
    Case("the-probe-was-accepted-against-the-grant", ADA, DENIED, (BEARER, token(200, ("pull",)), probe(202)), UNCLEAR),
    Case("the-token-server-says-403", ADA, DENIED, (BEARER, token(403, code="DENIED")), UNCLEAR),
    Case("the-probe-was-odd", ADA, DENIED, (BEARER, token(200), probe(418)), UNCLEAR),
    Case("a-grant-with-push-and-no-probe", ADA, DENIED, (BEARER, token(200, ("pull", "push"))), UNCLEAR),
    Case("an-opaque-token-and-no-probe", ADA, DENIED, (BEARER, token(200)), UNCLEAR),
    Case("no-ping-and-the-probe-was-accepted", ADA, DENIED, (token(200), probe(202)), UNCLEAR),
    Case("open-and-403-without-the-credential", ADA, DENIED, (OPEN, probe(403, sent=False)), UNCLEAR),
    Case("gitlabs-words-with-another-status", ADA, DENIED, (BEARER, token(400, message="access forbidden")), UNCLEAR),
    Case("the-probe-had-no-status", ADA, DENIED, (BEARER, token(200), Evidence(Stage.PROBE, "")), UNCLEAR),
    # ------------------------------------------------------------------ no denial at all
    Case("words-of-a-policy", ADA, "tag invalid: the tag already exists", (), FailureKind.POLICY),
    Case("words-of-the-network", ADA, "dial tcp 10.0.0.7:443: connection refused", (), FailureKind.NETWORK),
    Case("words-of-a-certificate", ADA, "x509: certificate signed by unknown authority", (), FailureKind.TLS),
    Case("words-of-a-limit", ADA, "toomanyrequests: Rate exceeded", (), FailureKind.RATE_LIMITED),
    Case("words-of-a-name", ADA, "name invalid: invalid repository name", (), FailureKind.BAD_REQUEST),
    Case("words-of-this-machine", ADA, "tag does not exist: x", (), FailureKind.LOCAL),
    Case("words-of-no-repository", ADA, "name unknown: no such repository", (), FailureKind.REPOSITORY_MISSING),
    Case("words-of-a-proxy", ADA, "unknown: 502 Bad Gateway", (), FailureKind.REGISTRY_ERROR),
    Case(
        "words-of-a-policy-anonymous", NOBODY, "denied: exceeded its image storage quota", (BEARER,), FailureKind.POLICY
    ),
    Case("unknown-words", ADA, "the moon is wrong", (), FailureKind.REGISTRY_ERROR),
    Case("unknown-words-anonymous", NOBODY, "the moon is wrong", (OPEN,), FailureKind.REGISTRY_ERROR),
    Case(
        "probe-finds-no-repository",
        ADA,
        DENIED,
        (BEARER, token(200), probe(404, code="NAME_UNKNOWN")),
        FailureKind.REPOSITORY_MISSING,
    ),
    # Whoever stands before the registry may answer so, too.
    Case("probe-finds-nothing", ADA, DENIED, (BEARER, token(200), probe(404)), UNCLEAR),
    Case("probe-finds-nothing-and-no-words", ADA, "page not found", (BEARER, probe(404)), FailureKind.REGISTRY_ERROR),
    Case("probe-meets-a-limit", ADA, DENIED, (BEARER, token(200), probe(429)), FailureKind.RATE_LIMITED),
    Case("probe-meets-an-error", ADA, DENIED, (BEARER, token(200), probe(500)), FailureKind.REGISTRY_ERROR),
    Case(
        "probe-tells-a-missing-repository-by-403",
        ADA,
        DENIED,
        (BASIC, token(200), probe(403, "The repository with name 'app' does not exist", "NAME_UNKNOWN")),
        FailureKind.REPOSITORY_MISSING,
    ),
    Case(
        "token-tells-a-policy",
        ADA,
        DENIED,
        (BEARER, token(403, message="client with IP '10.0.0.1' is not allowed access. Refer https://aka.ms/acr")),
        FailureKind.POLICY,
    ),
    Case(
        "the-engine-cannot-reach-it",
        ADA,
        DENIED,
        (AWAY, engine_login(500, 'Get "https://registry.test/v2/": dial tcp: connection refused')),
        FailureKind.NETWORK,
    ),
)


def test_verdict() -> None:
    for case in CASES:
        refusal = case.refusal()
        verdict = classify(refusal)
        assert (verdict.reason if isinstance(verdict, Denial) else verdict.kind) is case.verdict, case.name
        assert verdict.evidence == refusal.evidence, case.name


KINDS = {
    DenialKind.NO_AUTHENTICATION: {NOT_LOGGED_IN, REJECTED, EXPIRED, NOT_SENT},
    DenialKind.INSUFFICIENT_PERMISSION: {NO_RIGHT, FOREIGN, SMALL_SCOPE},
    DenialKind.UNCLEAR: {UNCLEAR},
}


def test_the_table_reaches_every_verdict() -> None:
    # An index that the engine reduced is no refusal: the pipeline tells it by itself. Nor is reading a push.
    others = {FailureKind.REDUCED, DenialReason.NO_READ_PERMISSION}
    assert {case.verdict for case in CASES} == {*DenialReason, *FailureKind} - others


def test_every_reason_has_its_kind_a_summary_and_a_next_command() -> None:
    seen: dict[DenialKind, set[DenialReason]] = {}
    for case in CASES:
        verdict = classify(case.refusal())
        if isinstance(verdict, Denial):
            seen.setdefault(verdict.kind, set()).add(verdict.reason)
            assert verdict.summary
            assert verdict.next
            assert all(command.startswith("docker ") for command in verdict.next)
            assert "hunter2!" not in repr(verdict)
    assert seen == KINDS


# ---------------------------------------------------------------------- what is said


def denial(reason: DenialReason, reference: str = "registry.test/team/app:1") -> Denial:
    case = next(case for case in CASES if case.verdict is reason and case.reference == reference)
    verdict = classify(case.refusal())
    assert isinstance(verdict, Denial)
    return verdict


def test_what_is_said() -> None:
    for reason, reference, words, commands in (
        (
            NOT_LOGGED_IN,
            "registry.test/team/app:1",
            "not logged in to registry.test",
            ("docker login registry.test",),
        ),
        (
            REJECTED,
            "registry.test/team/app:1",
            "does not accept the credential of the account 'ada' (the config file /home/ada/.docker/config.json)",
            ("docker login registry.test -u ada",),
        ),
        (EXPIRED, "registry.test/team/app:1", "has expired", ("docker login registry.test -u ada",)),
        (
            NO_RIGHT,
            "registry.test/team/app:1",
            "the account 'ada' is logged in to registry.test and may not push to team/app",
            ("docker login registry.test -u ACCOUNT",),
        ),
        (
            FOREIGN,
            "docker.io/eve/app:1",
            "the namespace 'eve' is not that of the account 'ada'",
            ("docker tag docker.io/eve/app:1 docker.io/ada/app:1", "docker login -u YOUR-DOCKER-ID"),
        ),
        (SMALL_SCOPE, "docker.io/ada/app:1", "the token of the account 'ada' may not", ("docker login -u ada",)),
        (
            UNCLEAR,
            "registry.test/team/app:1",
            "refused the push, and lets anyone start an upload now; the cause is not known: the registry's log or",
            ("docker pushsafe diagnose registry.test/team/app:1",),
        ),
    ):
        verdict = denial(reason, reference)
        assert words in verdict.summary, reference
        assert verdict.next == commands, reference


def test_an_unclear_denial_says_what_would_tell() -> None:
    for name, words, commands in (
        (
            "nothing-was-learnt",
            "a login that fails now points to the credential",
            ("docker login registry.test -u ada", "docker pushsafe diagnose registry.test/team/app:1"),
        ),
        (
            "the-probe-was-accepted",
            "lets the account 'ada' start an upload now, so it is not the login; the cause is not known: the",
            ("docker pushsafe diagnose registry.test/team/app:1",),
        ),
    ):
        verdict = classify(next(case for case in CASES if case.name == name).refusal())
        assert isinstance(verdict, Denial), name
        assert words in verdict.summary, name
        assert verdict.next == commands, name


MAY_BE = " (perhaps a right to replace a tag, an immutable tag, or a quota)"


def test_what_may_be_the_cause_is_named_only_of_a_tag_that_exists() -> None:
    for before, possible in (
        (TagHeld(ManifestInfo("sha256:0", OCI_MANIFEST)), MAY_BE),
        (TagAbsent(), ""),
        (TagUnknown("403"), ""),
        (None, ""),
    ):
        learnt = (said(DENIED), BEARER, token(200, ("pull", "push")), probe(202))
        fact = Facts(ref("registry.test/team/app:1"), credential=ADA, tag_now=before)
        found = classify(refusal_of(fact, learnt, NOW))
        assert isinstance(found, Denial), possible
        assert f"the cause is not known{possible}: " in found.summary, possible


def test_a_failure_says_the_servers_words_and_what_to_run() -> None:
    for reference, words, commands in (
        ("registry.test/a/b:1", "dial tcp: i/o timeout", ("curl -sSi https://registry.test/v2/",)),
        ("docker.io/a/b:1", "dial tcp: i/o timeout", ("curl -sSi https://registry-1.docker.io/v2/",)),
        ("localhost:5000/b:1", "connection refused", ("curl -sSi http://localhost:5000/v2/",)),
        ("127.0.0.1:5000/b:1", "connection refused", ("curl -sSi http://127.0.0.1:5000/v2/",)),
        ("registry.test/a/b:1", "tag does not exist: x", ("docker image ls",)),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1",
            "name unknown: The repository does not exist",
            ("aws ecr create-repository --region eu-west-1 --repository-name team/app",),
        ),
        (
            "public.ecr.aws/alias/app:1",
            "name unknown: The repository does not exist",
            ("aws ecr-public create-repository --region us-east-1 --repository-name app",),
        ),
        (
            "europe-west1-docker.pkg.dev/project/repo/app:1",
            'name unknown: Repository "repo" not found',
            (
                "gcloud artifacts repositories create repo --repository-format=docker --location=europe-west1 "
                "--project=project",
            ),
        ),
        ("de.icr.io/team/app:1", "name unknown: no such namespace", ("ibmcloud cr namespace-add team",)),
        ("registry.test/a/b:1", "name unknown: no such repository", ()),
        *(
            (
                "registry.test/a/b:1",
                words,
                ("allow larger requests at the proxy in front of registry.test   (nginx: client_max_body_size 0;)",),
            )
            for words in (
                "the registry answers 413 Request Entity Too Large",
                "error parsing HTTP 413 response body: invalid character '<' looking for beginning of value",
                "unknown: unexpected status from PUT request to https://r/v2/: 413 Request Entity Too Large",
            )
        ),
        ("registry.test/a/b:1", "received unexpected HTTP status: 504 Gateway Time-out", ()),
        (
            "registry.test/a/b:1",
            "toomanyrequests: Rate exceeded",
            ("docker pushsafe registry.test/a/b:1   (again, in a while)",),
        ),
    ):
        found = classify(Refusal(ref(reference), ADA, (said(words),), NOW))
        assert isinstance(found, Failure), reference
        assert (found.message, found.next) == (words, commands), reference


def test_what_has_no_name_in_the_engine_is_not_given_another_there() -> None:
    """An index, or what is pushed for one: the tag is what the command was given."""
    hub = Refusal(ref("docker.io/eve/app:1"), ADA, (said(DENIED),), NOW)
    assert reasons.denial(hub, FOREIGN).next[0].startswith("docker tag docker.io/eve/app:1 ")
    nameless = hub._replace(command="")
    assert reasons.denial(nameless, FOREIGN).next[0] == "the same again with -t docker.io/ada/app:TAG"


def test_the_certificate_belongs_to_the_registry() -> None:
    found = classify(Refusal(ref("registry.test:5000/a/b:1"), ADA, (said("x509: unknown authority"),), NOW))
    assert isinstance(found, Failure)
    assert "/etc/docker/certs.d/registry.test:5000/" in found.next[0]


def test_no_authority_helps_where_none_is_at_fault() -> None:
    for text, command in (
        ("http: server gave HTTP response to HTTPS client", 'add "registry.test:5000" to insecure-registries'),
        ("x509: certificate has expired or is not yet valid", "date; openssl s_client -connect registry.test:5000"),
        ("x509: certificate relies on legacy Common Name field", "reissue the registry's certificate"),
        ("x509: certificate is valid for a.test, not registry.test", "openssl s_client -connect registry.test:5000"),
    ):
        found = classify(Refusal(ref("registry.test:5000/a/b:1"), ADA, (said(text),), NOW))
        assert isinstance(found, Failure), text
        (told,) = found.next
        assert told.startswith(command), text
        assert "certs.d" not in told, text


def test_a_failure_that_the_registry_told_us_quotes_it() -> None:
    told = token(403, message="client with IP '10.0.0.1' is not allowed access. Refer https://aka.ms/acr")
    found = classify(Refusal(ref("registry.test/a/b:1"), ADA, (said(DENIED), told), NOW))
    assert isinstance(found, Failure)
    assert found.message == f"{DENIED} ({told.message})"


def test_without_any_words_it_is_an_unknown_failure() -> None:
    found = classify(Refusal(ref("registry.test/a/b:1"), ADA, (), NOW))
    assert found == Failure(FailureKind.REGISTRY_ERROR, "the push failed")


def test_a_credential_without_a_name_is_called_a_credential() -> None:
    found = classify(Refusal(ref("registry.test/a/b:1"), logged_in(user=""), (said(DENIED), token(401)), NOW))
    assert isinstance(found, Denial)
    assert found.summary.startswith("registry.test does not accept the credential (the config file ")


def test_the_registry_is_asked_unless_the_words_name_another_cause() -> None:
    for words, asked in (
        (DENIED, True),
        ("no basic auth credentials", True),
        ("the moon is wrong", True),
        ("", True),
        ("tag invalid: the tag already exists", False),
        ("x509: certificate signed by unknown authority", False),
    ):
        assert needs_investigation(words) is asked, words


def test_what_this_machine_knows_is_evidence_too() -> None:
    for credential, words, sent in (
        (ADA, "found in the config file /home/ada/.docker/config.json, user ada", True),
        (logged_in(user=""), "found in the config file /home/ada/.docker/config.json", True),
        (NOBODY, "none was found for registry.test, so none was sent", False),
        (broken(), "unreadable: docker-credential-desktop: not found in PATH; none was sent", False),
    ):
        assert credential_evidence(credential) == Evidence(Stage.CREDENTIAL, words, sent=sent), words


def test_the_last_answer_of_a_stage_counts() -> None:
    first, last = probe(401, sent=False), probe(202)
    assert Refusal(ref("registry.test/a:1"), ADA, (first, last), NOW).of(Stage.PROBE) is last
    assert Refusal(ref("registry.test/a:1"), ADA, (), NOW).of(Stage.PROBE) is None


# ---------------------------------------------------------------------- another address than the registry's own

ELSEWHERE = "http://127.0.0.1:9"
_UPLOADS = "v2/team/app/blobs/uploads/8f2d"
# The engine's words, and the address that they tell of; empty where it is the registry's own.
ADDRESSES = {
    "containerd": (
        f'failed to do request: Put "{ELSEWHERE}/{_UPLOADS}?digest=x": dial tcp 127.0.0.1:9: refused',
        ELSEWHERE,
    ),
    "classic": (f'Patch "{ELSEWHERE}/{_UPLOADS}": dial tcp 127.0.0.1:9: connect: connection refused', ELSEWHERE),
    "another host's certificate": (
        f'Put "https://a.test/{_UPLOADS}": x509: certificate is valid for b',
        "https://a.test",
    ),
    "its own": (f'Put "https://registry.test/{_UPLOADS}": dial tcp 10.0.0.1:443: i/o timeout', ""),
    "its own, with the port": (f'Put "https://registry.test:443/{_UPLOADS}": dial tcp 10.0.0.1:443: i/o timeout', ""),
    "its own, in clear": (f'Put "http://registry.test/{_UPLOADS}": dial tcp 10.0.0.1:80: i/o timeout', ""),
    "its token server": ('Get "https://auth.test/token": dial tcp 10.0.0.1:443: i/o timeout', ""),
}


def test_where_the_engine_was_sent_with_an_upload() -> None:
    for case, (words, address) in ADDRESSES.items():
        found = classify(Case("led", ADA, words, (), FailureKind.NETWORK).refusal())
        assert isinstance(found, Failure), case
        if not address:
            assert found.kind in (FailureKind.NETWORK, FailureKind.TLS), case
            continue
        assert found.kind is FailureKind.REGISTRY_ERROR, case
        assert found.message.startswith(f"registry.test sends uploads to {address}, which is not its own address: "), (
            case
        )
        assert "Host and X-Forwarded-Proto" in found.next[0], case


def test_what_was_found_of_the_address_explains_any_words() -> None:
    for words in (DENIED, INSUFFICIENT, "unknown: unexpected status", "unknown blob"):
        learnt = (BEARER, token(200, ("pull", "push")), probe(202), led(Stage.PROBE, "it sends uploads elsewhere"))
        found = classify(Case("led", ADA, words, learnt, UNCLEAR).refusal())
        assert isinstance(found, Failure), words
        assert (found.kind, found.message) == (FailureKind.REGISTRY_ERROR, "it sends uploads elsewhere"), words


# ---------------------------------------------------------------------- a token server that gives no token

HOLDS_NONE = "the token server's answer holds no token"
ODD = {
    "a page": token(200, message=HOLDS_NONE, code="NO_TOKEN"),
    "nothing": token(204, message=HOLDS_NONE, code="NO_TOKEN"),
    "a wrong method": token(405, message=f"{HOLDS_NONE} (denied: not like this)", code="DENIED"),
    "a proxy's limit": token(413, message=HOLDS_NONE, code="NO_TOKEN"),
}


def test_without_a_token_nobody_is_denied() -> None:
    for case, answer in ODD.items():
        for sent in (True, False):
            for words in (DENIED, INSUFFICIENT, "unauthorized: authentication required", "invalid character '<'"):
                who = ADA if sent else NOBODY
                found = classify(Case("odd", who, words, (BEARER, answer._replace(sent=sent)), UNCLEAR).refusal())
                assert isinstance(found, Failure), case
                assert found.kind is FailureKind.REGISTRY_ERROR, case
                assert HOLDS_NONE in found.message, case
                assert "login" not in "".join(found.next), case


def test_a_token_server_that_names_a_rule_is_believed() -> None:
    answer = token(405, message=f"{HOLDS_NONE} (namespace is disabled)", code="DENIED")
    found = classify(Case("odd", ADA, DENIED, (BEARER, answer), UNCLEAR).refusal())
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.POLICY


def test_a_manifest_that_is_not_known_is_no_missing_repository() -> None:
    """Said in answer to the manifest itself (Harbor, in another error's words)."""
    for words in ("manifest_unknown: manifest unknown", "manifest unknown: the object is locked"):
        found = classify(
            Case("unknown", ADA, words, (BEARER, token(200, ("pull", "push")), probe(202)), UNCLEAR).refusal()
        )
        assert isinstance(found, Failure), words
        assert found.kind is FailureKind.REGISTRY_ERROR, words
