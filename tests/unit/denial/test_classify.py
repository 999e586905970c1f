"""The decision over evidence as a table: what was learnt comes first, the words of the server last."""

from __future__ import annotations

from dataclasses import dataclass

from pushsafe.denial import reasons
from pushsafe.denial.classify import classify, foresee, needs_investigation
from pushsafe.denial.refusal import Refusal, beforehand, credential_evidence, refusal_of
from pushsafe.engine.kinds import CLASSIC, CONTAINERD
from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.evidence import Evidence, Preflight, Stage, TagAbsent, TagHeld, TagUnknown
from pushsafe.model.facts import EngineInfo, EngineKind, Facts
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
    ping,
    probe,
    token,
)
from tests.values import AMD64, broken, logged_in, nobody, ref, said

NOW = 1_700_000_000.0
DENIED = "denied: requested access to the resource is denied"
SCOPE = "server message: insufficient_scope: authorization failed"
INSUFFICIENT = f"push access denied, repository does not exist or may require authorization: {SCOPE}"
NO_LOGIN = "unauthorized: authentication required"
WRONG_PASSWORD = "unauthorized: incorrect username or password"
UNEXPECTED_401 = "unknown: unexpected status from HEAD request to https://registry.test/v2/: 401 Unauthorized"
NO_ROBOT = "Could not find robot with specified username"
TOO_OLD = "Your authorization token has expired."
NO_WRITER = "denied: installation not allowed to Write organization package"
SCOPES = "access token has insufficient scopes"
NO_APP = "The repository with name 'app' does not exist"
FIREWALL = "client with IP '10.0.0.1' is not allowed access. Refer https://aka.ms/acr"
UNKNOWN_NAME = "repository name not known to registry"
HOLDS_NONE = "the token server's answer holds no token"

ADA, NOBODY = logged_in(), nobody()
OLD, FRESH = logged_in(expires=NOW - 1), logged_in(expires=NOW + 1)
HUB, ROBOT = logged_in("docker.io", "ada"), logged_in("quay.io", "team+ci")
TOKEN_ONLY = ADA._replace(kind=CredentialKind.REGISTRY_TOKEN)
APP, EVES, ADAS = "registry.test/team/app:1", "docker.io/eve/app:1", "docker.io/ada/app:1"

UNCLEAR = DenialReason.UNCLEAR
BROKEN, MISSING, POLICY = FailureKind.REGISTRY_ERROR, FailureKind.REPOSITORY_MISSING, FailureKind.POLICY


def bare(status: int, message: str = "") -> Evidence:
    """An upload that was tried without a credential."""
    return probe(status, message, sent=False)


# An opaque token says nothing of what it grants.
OPAQUE, NO_GRANT, READ_ONLY, GRANTED = (token(200, grant) for grant in (None, (), ("pull",), ("pull", "push")))
NOBODYS, NO_GRANT_FOR_NOBODY = token(200, sent=False), token(200, (), sent=False)
OPAQUE_403, OPAQUE_401 = (BEARER, OPAQUE, probe(403)), (BEARER, OPAQUE, probe(401))
HALF_OPEN = (OPEN, bare(401), OPAQUE)
NO_SCOPE = probe(401)._replace(challenge='Bearer realm="x" error="insufficient_scope"')
ENGINE_LOGGED_IN = engine_login(200, "login succeeded")
ENGINE_REJECTED = engine_login(500, "login attempt to http://r.test/v2/ failed with status: 401 Unauthorized")
ENGINE_AWAY = engine_login(500, 'Get "https://registry.test/v2/": dial tcp: connection refused')


@dataclass(frozen=True)
class Case:
    """`words` are the engine's, `learnt` what was asked after them."""

    name: str
    credential: Credential
    words: str
    learnt: tuple[Evidence, ...]
    verdict: DenialReason | FailureKind
    reference: str = APP
    store: EngineKind = CLASSIC

    def refusal(self) -> Refusal:
        evidence = (credential_evidence(self.credential), said(self.words), *self.learnt)
        return Refusal(ref(self.reference), self.credential, evidence, NOW, self.store)


CASES = (
    # ------------------------------------------------------------------ nobody was logged in
    Case("bearer-anonymous", NOBODY, DENIED, (BEARER, token(200, (), sent=False), bare(401)), NOT_LOGGED_IN),
    Case("bearer-anonymous-containerd", NOBODY, INSUFFICIENT, (BEARER, token(401, sent=False)), NOT_LOGGED_IN),
    Case("basic-anonymous", NOBODY, "no basic auth credentials", (BASIC, bare(401)), NOT_LOGGED_IN),
    Case("anonymous-and-not-asked", NOBODY, DENIED, (AWAY,), NOT_LOGGED_IN),
    Case("anonymous-words-of-a-right", NOBODY, "denied: permission_denied: write_package", (BEARER,), NOT_LOGGED_IN),
    Case("anonymous-with-words-of-a-password", NOBODY, NO_LOGIN, (BASIC,), NOT_LOGGED_IN),
    Case("anonymous-at-an-open-registry", NOBODY, DENIED, (OPEN, bare(401)), NOT_LOGGED_IN),
    Case("anonymous-by-a-broken-helper", broken(), DENIED, (BEARER,), NOT_LOGGED_IN),
    Case("anonymous-and-may-write-after-all", NOBODY, DENIED, (OPEN, bare(202)), UNCLEAR),
    # ------------------------------------------------------------------ the credential is wrong
    Case("bearer-wrong-password", ADA, DENIED, (BEARER, token(401, code="UNAUTHORIZED")), REJECTED),
    Case("basic-wrong-password", ADA, NO_LOGIN, (BASIC, token(401)), REJECTED),
    Case("basic-wrong-password-containerd", ADA, UNEXPECTED_401, (BASIC, token(401)), REJECTED),
    Case("rejected-by-the-engine", ADA, DENIED, (AWAY, engine_login(401, "unauthorized")), REJECTED),
    Case("rejected-by-the-engine-as-500", ADA, DENIED, (AWAY, ENGINE_REJECTED), REJECTED),
    Case("rejected-in-words-only", ADA, WRONG_PASSWORD, (AWAY,), REJECTED),
    Case("rejected-in-the-probe's-words", ADA, DENIED, (BEARER, OPAQUE, probe(401, NO_ROBOT)), REJECTED),
    # ------------------------------------------------------------------ the credential is too old
    Case("expired-and-403", OLD, DENIED, (BASIC, token(403, code="DENIED")), EXPIRED),
    Case("expired-and-401", OLD, DENIED, (BEARER, token(401)), EXPIRED),
    Case("expired-and-the-probe-refused", OLD, DENIED, (BEARER, OPAQUE, probe(403)), EXPIRED),
    Case("expired-and-the-engine-refused", OLD, DENIED, (AWAY, ENGINE_REJECTED), EXPIRED),
    Case("said-to-be-expired", ADA, DENIED, (BASIC, token(403, message=TOO_OLD)), EXPIRED),
    Case("expired-in-words-only", ADA, "denied: Your authorization token has expired.", (AWAY,), EXPIRED),
    Case("expired-this-very-second", logged_in(expires=NOW), DENIED, (BEARER, token(401)), EXPIRED),
    Case("still-good-and-rejected", FRESH, DENIED, (BEARER, token(401)), REJECTED),
    Case("still-good-and-refused", FRESH, DENIED, (BASIC, OPAQUE, probe(403)), NO_RIGHT),
    Case("expired-and-accepted-all-the-same", OLD, DENIED, (BASIC, OPAQUE, probe(202)), UNCLEAR),
    # ------------------------------------------------------------------ the credential stayed at home
    Case("open-and-not-sent", ADA, DENIED, (*HALF_OPEN, probe(202)), NOT_SENT),
    Case("open-and-containerd-sends-it", ADA, DENIED, (*HALF_OPEN, probe(202)), UNCLEAR, store=CONTAINERD),
    Case("open-and-no-words-of-a-refusal", ADA, "failed commit: invalid checksum", (*HALF_OPEN, probe(202)), BROKEN),
    Case("open-and-sent-for-nothing", ADA, DENIED, (OPEN, bare(202)), UNCLEAR),
    Case("open-and-wrong-password", ADA, DENIED, (OPEN, bare(401), token(401)), REJECTED),
    Case("open-and-no-right", ADA, DENIED, (*HALF_OPEN, probe(403)), NO_RIGHT),
    # ------------------------------------------------------------------ the right is missing
    Case("bearer-grant-without-push", ADA, DENIED, (BEARER, READ_ONLY, probe(401)), NO_RIGHT),
    Case("bearer-empty-grant", ADA, DENIED, (BEARER, NO_GRANT, probe(401)), NO_RIGHT),
    Case("bearer-grant-and-no-probe", ADA, DENIED, (BEARER, READ_ONLY), NO_RIGHT),
    Case("bearer-grant-with-push-and-403", ADA, DENIED, (BEARER, GRANTED, probe(403, code="DENIED")), NO_RIGHT),
    Case("bearer-grant-of-all-and-403", ADA, DENIED, (BEARER, token(200, ("*",)), probe(403, code="DENIED")), NO_RIGHT),
    Case("opaque-token-and-403", ADA, DENIED, (BEARER, OPAQUE, probe(403)), NO_RIGHT),
    # A token that the server may give to anybody proves no login; a refusal for want of scope does.
    Case("opaque-token-and-401", ADA, INSUFFICIENT, (BEARER, OPAQUE, probe(401)), UNCLEAR),
    Case("opaque-token-and-401-for-want-of-scope", ADA, INSUFFICIENT, (BEARER, OPAQUE, NO_SCOPE), NO_RIGHT),
    Case("basic-and-401-after-the-login", ADA, DENIED, (BASIC, OPAQUE, probe(401)), NO_RIGHT),
    *(
        Case(f"only-the-engine-asked-and-{words.split()[0]}", ADA, words, (AWAY, ENGINE_LOGGED_IN), BROKEN)
        for words in (
            "received unexpected HTTP status: 500 Internal Server Error",
            "manifest invalid: manifest invalid",
            "no space left on device",
            "error from registry: disk full",
            "blob upload unknown to registry",
            "the engine ended the push without naming a digest",
        )
    ),
    Case("basic-and-403", ADA, NO_LOGIN, (BASIC, OPAQUE, probe(403)), NO_RIGHT),
    Case("registry-token-and-403", TOKEN_ONLY, DENIED, (BEARER, probe(403)), NO_RIGHT),
    Case("login-by-the-engine-only", ADA, DENIED, (AWAY, ENGINE_LOGGED_IN), NO_RIGHT),
    Case("right-in-words-only", ADA, NO_WRITER, (AWAY,), NO_RIGHT),
    Case("gitlab-knows-who", ADA, DENIED, (BEARER, token(403, message="access forbidden", code="DENIED")), NO_RIGHT),
    Case("hub-other-namespace", HUB, DENIED, (BEARER, READ_ONLY), FOREIGN, EVES),
    Case("hub-own-namespace", HUB, DENIED, (BEARER, READ_ONLY), SMALL_SCOPE, ADAS),
    Case("hub-own-in-capitals", logged_in("docker.io", "Ada"), DENIED, (BEARER, READ_ONLY), SMALL_SCOPE, ADAS),
    Case("hub-own-namespace-by-the-engine-only", HUB, DENIED, (AWAY, ENGINE_LOGGED_IN), NO_RIGHT, ADAS),
    Case("hub-says-too-small", HUB, DENIED, (BEARER, token(401, message=SCOPES)), SMALL_SCOPE, EVES),
    Case("other-user-elsewhere", ADA, DENIED, (BEARER, READ_ONLY), NO_RIGHT, "registry.test/eve/app:1"),
    Case("hub-nameless", logged_in("docker.io", ""), DENIED, (BEARER, NO_GRANT), NO_RIGHT, EVES),
    Case("quay-robot-elsewhere", ROBOT, DENIED, (BEARER, NO_GRANT), FOREIGN, "quay.io/eve/app:1"),
    Case("quay-robot-at-home", ROBOT, DENIED, (BEARER, NO_GRANT), SMALL_SCOPE, "quay.io/team/app:1"),
    Case("quay-account", logged_in("quay.io"), DENIED, (BEARER, NO_GRANT), NO_RIGHT, "quay.io/eve/app:1"),
    # ------------------------------------------------------------------ the login without a scope
    Case("token-403-and-the-login-succeeds", ADA, DENIED, (BEARER, token(403), login(200)), NO_RIGHT),
    Case("token-403-and-the-login-fails", ADA, DENIED, (BEARER, token(403), login(401)), REJECTED),
    Case("token-403-and-the-login-is-forbidden", ADA, DENIED, (BEARER, token(403), login(403)), REJECTED),
    Case("token-403-and-the-login-is-odd", ADA, DENIED, (BEARER, token(403), login(500)), UNCLEAR),
    Case("token-403-and-the-login-succeeds-with-an-old-one", OLD, DENIED, (BEARER, token(403), login(200)), EXPIRED),
    Case("hub-token-403-and-the-login-succeeds", HUB, DENIED, (BEARER, token(403), login(200)), FOREIGN, EVES),
    # ------------------------------------------------------------------ compared with nobody
    Case("opaque-403-nobody-gets-no-token", ADA, DENIED, (*OPAQUE_403, token(401, sent=False)), NO_RIGHT),
    Case("opaque-403-nobody-is-forbidden-a-token", ADA, DENIED, (*OPAQUE_403, token(403, sent=False)), NO_RIGHT),
    Case("opaque-403-and-nobody-401", ADA, DENIED, (*OPAQUE_403, NOBODYS, bare(401)), NO_RIGHT),
    Case("opaque-403-and-nobody-the-same", ADA, DENIED, (*OPAQUE_403, NOBODYS, bare(403)), UNCLEAR),
    Case("opaque-403-and-nobody-may", ADA, DENIED, (*OPAQUE_403, NOBODYS, bare(202)), UNCLEAR),
    Case("opaque-403-and-nobody-oddly", ADA, DENIED, (*OPAQUE_403, NOBODYS, bare(500)), UNCLEAR),
    Case("opaque-403-and-the-token-server-went-away", ADA, DENIED, (*OPAQUE_403, token(503, sent=False)), UNCLEAR),
    Case("opaque-401-nobody-gets-no-token", ADA, DENIED, (*OPAQUE_401, token(401, sent=False)), NO_RIGHT),
    Case("opaque-401-known-at-base", ADA, DENIED, (*OPAQUE_401, NOBODYS, login(200), login(401, sent=False)), NO_RIGHT),
    Case("opaque-401-as-welcome", ADA, DENIED, (*OPAQUE_401, NOBODYS, login(200), login(200, sent=False)), UNCLEAR),
    Case("opaque-401-and-unknown-at-the-base", ADA, DENIED, (*OPAQUE_401, NOBODYS, login(401)), REJECTED),
    Case("opaque-401-and-the-base-is-odd", ADA, DENIED, (*OPAQUE_401, NOBODYS, login(500)), UNCLEAR),
    Case("opaque-401-expired", OLD, DENIED, (*OPAQUE_401, NOBODYS, login(401)), EXPIRED),
    # A grant that can be read needs no comparison, and none is believed against it.
    Case("a-grant-beside-nobodys", ADA, DENIED, (BEARER, READ_ONLY, probe(403), NOBODYS, bare(403)), NO_RIGHT),
    # ------------------------------------------------------------------ wrong words, clear evidence
    Case("words-in-an-accepted-answer", ADA, DENIED, (token(200, ("pull",), "toomanyrequests: soon"),), NO_RIGHT),
    Case("no-credentials-says-one", ADA, DENIED, (BASIC, OPAQUE, probe(401, "no basic auth credentials")), NO_RIGHT),
    Case("unknown-words-and-nobody-where-a-login-is-wanted", NOBODY, "the moon is wrong", (BEARER,), NOT_LOGGED_IN),
    Case("words-of-a-right-but-401", ADA, "denied: permission_denied: x", (BEARER, token(401)), REJECTED),
    Case("words-of-a-password-but-403", ADA, WRONG_PASSWORD, (BASIC, OPAQUE, probe(403)), NO_RIGHT),
    Case("words-of-no-login-but-403", ADA, "no basic auth credentials", (BASIC, OPAQUE, probe(403)), NO_RIGHT),
    Case("unknown-words-but-403", ADA, "the moon is wrong", (BEARER, OPAQUE, probe(403)), NO_RIGHT),
    # ------------------------------------------------------------------ it cannot be told
    Case("anonymous-and-nobody-asks-for-a-login", NOBODY, DENIED, (OPEN, bare(403)), UNCLEAR),
    Case("anonymous-and-words-of-its-own", NOBODY, "denied: your IP address is blocked", (AWAY,), UNCLEAR),
    Case("nothing-was-learnt", ADA, DENIED, (), UNCLEAR),
    Case("the-engine-could-not-ask", ADA, DENIED, (AWAY, engine_login(None, "it is silent")), UNCLEAR),
    Case("the-probe-was-accepted", ADA, DENIED, (BEARER, GRANTED, probe(202)), UNCLEAR),
    Case("the-probe-was-accepted-against-the-grant", ADA, DENIED, (BEARER, READ_ONLY, probe(202)), UNCLEAR),
    Case("the-token-server-says-403", ADA, DENIED, (BEARER, token(403, code="DENIED")), UNCLEAR),
    Case("the-probe-was-odd", ADA, DENIED, (BEARER, OPAQUE, probe(418)), UNCLEAR),
    Case("a-grant-with-push-and-no-probe", ADA, DENIED, (BEARER, GRANTED), UNCLEAR),
    Case("an-opaque-token-and-no-probe", ADA, DENIED, (BEARER, OPAQUE), UNCLEAR),
    Case("no-ping-and-the-probe-was-accepted", ADA, DENIED, (OPAQUE, probe(202)), UNCLEAR),
    Case("open-and-403-without-the-credential", ADA, DENIED, (OPEN, bare(403)), UNCLEAR),
    Case("gitlabs-words-with-another-status", ADA, DENIED, (BEARER, token(400, message="access forbidden")), UNCLEAR),
    Case("the-probe-had-no-status", ADA, DENIED, (BEARER, OPAQUE, Evidence(Stage.PROBE, "")), UNCLEAR),
    # ------------------------------------------------------------------ no denial at all
    Case("words-of-a-policy", ADA, "tag invalid: the tag already exists", (), POLICY),
    Case("words-of-the-network", ADA, "dial tcp 10.0.0.7:443: connection refused", (), FailureKind.NETWORK),
    Case("words-of-a-certificate", ADA, "x509: certificate signed by unknown authority", (), FailureKind.TLS),
    Case("words-of-a-limit", ADA, "toomanyrequests: Rate exceeded", (), FailureKind.RATE_LIMITED),
    Case("words-of-a-name", ADA, "name invalid: invalid repository name", (), FailureKind.BAD_REQUEST),
    Case("words-of-this-machine", ADA, "tag does not exist: x", (), FailureKind.LOCAL),
    Case("words-of-no-repository", ADA, "name unknown: no such repository", (), MISSING),
    Case("words-of-a-proxy", ADA, "unknown: 502 Bad Gateway", (), BROKEN),
    Case("words-of-a-policy-anonymous", NOBODY, "denied: exceeded its image storage quota", (BEARER,), POLICY),
    Case("unknown-words", ADA, "the moon is wrong", (), BROKEN),
    Case("unknown-words-anonymous", NOBODY, "the moon is wrong", (OPEN,), BROKEN),
    Case("probe-finds-no-repository", ADA, DENIED, (BEARER, OPAQUE, probe(404, code="NAME_UNKNOWN")), MISSING),
    # Whoever stands before the registry may answer so, too.
    Case("probe-finds-nothing", ADA, DENIED, (BEARER, OPAQUE, probe(404)), UNCLEAR),
    Case("probe-finds-nothing-and-no-words", ADA, "page not found", (BEARER, probe(404)), BROKEN),
    Case("probe-meets-a-limit", ADA, DENIED, (BEARER, OPAQUE, probe(429)), FailureKind.RATE_LIMITED),
    Case("probe-meets-an-error", ADA, DENIED, (BEARER, OPAQUE, probe(500)), BROKEN),
    Case("probe-tells-it-is-missing-by-403", ADA, DENIED, (BASIC, OPAQUE, probe(403, NO_APP, "NAME_UNKNOWN")), MISSING),
    Case("token-tells-a-policy", ADA, DENIED, (BEARER, token(403, message=FIREWALL)), POLICY),
    Case("the-engine-cannot-reach-it", ADA, DENIED, (AWAY, ENGINE_AWAY), FailureKind.NETWORK),
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
            assert verdict.summary, case.name
            assert verdict.next, case.name
            assert all(command.startswith("docker ") for command in verdict.next), case.name
            assert "hunter2!" not in repr(verdict), case.name
    assert seen == KINDS


# ---------------------------------------------------------------------- what is said


def denied(case: Case) -> Denial:
    verdict = classify(case.refusal())
    assert isinstance(verdict, Denial), verdict
    return verdict


def failed(words: str, *learnt: Evidence, who: Credential = ADA, reference: str = APP) -> Failure:
    verdict = classify(Case("", who, words, learnt, UNCLEAR, reference).refusal())
    assert isinstance(verdict, Failure), verdict
    return verdict


def test_what_is_said() -> None:
    login, diagnose = "docker login registry.test", f"docker pushsafe diagnose {APP}"
    accepted = "start an upload now; the cause is not known: the registry's log or"
    rejected = "does not accept the credential of the account 'ada' (the config file /home/ada/.docker/config.json)"
    for name, words, commands in (
        ("bearer-anonymous", "not logged in to registry.test", (login,)),
        ("bearer-wrong-password", rejected, (f"{login} -u ada",)),
        ("expired-and-403", "has expired", (f"{login} -u ada",)),
        (
            "bearer-grant-without-push",
            "the account 'ada' is logged in to registry.test and may not push to team/app",
            (f"{login} -u ACCOUNT",),
        ),
        (
            "hub-other-namespace",
            "the namespace 'eve' is not that of the account 'ada'",
            ("docker tag docker.io/eve/app:1 docker.io/ada/app:1", "docker login -u YOUR-DOCKER-ID"),
        ),
        ("hub-own-namespace", "the token of the account 'ada' may not", ("docker login -u ada",)),
        ("anonymous-and-may-write-after-all", f"refused the push, and lets anyone {accepted}", (diagnose,)),
        (
            "nothing-was-learnt",
            "a login that fails now points to the credential",
            ("docker login registry.test -u ada", diagnose),
        ),
        (
            "the-probe-was-accepted",
            "lets the account 'ada' start an upload now, so it is not the login; the cause is not known: the",
            (diagnose,),
        ),
    ):
        verdict = denied(next(case for case in CASES if case.name == name))
        assert words in verdict.summary, name
        assert verdict.next == commands, name


def test_what_may_be_the_cause_is_named_only_of_a_tag_that_exists() -> None:
    may_be = " (perhaps a right to replace a tag, an immutable tag, or a quota)"
    exists = TagHeld(ManifestInfo("sha256:0", OCI_MANIFEST))
    for before, possible in ((exists, may_be), (TagAbsent(), ""), (TagUnknown("403"), ""), (None, "")):
        fact = Facts(ref(APP), credential=ADA, tag_now=before)
        found = classify(refusal_of(fact, (said(DENIED), BEARER, GRANTED, probe(202)), NOW))
        assert isinstance(found, Denial), before
        assert f"the cause is not known{possible}: " in found.summary, before


def test_a_failure_says_the_servers_words_and_what_to_run() -> None:
    google = "gcloud artifacts repositories create repo --repository-format=docker --location=europe-west1 --project=p"
    proxy = "allow larger requests at the proxy in front of registry.test   (nginx: client_max_body_size 0;)"
    none, timeout, refused = (
        "name unknown: The repository does not exist",
        "dial tcp: i/o timeout",
        "connection refused",
    )
    ecr = "aws ecr create-repository --region eu-west-1 --repository-name team/app"
    public = "aws ecr-public create-repository --region us-east-1 --repository-name app"
    for reference, words, *commands in (
        (APP, timeout, "curl -sSi https://registry.test/v2/"),
        ("docker.io/a/b:1", timeout, "curl -sSi https://registry-1.docker.io/v2/"),
        ("localhost:5000/b:1", refused, "curl -sSi http://localhost:5000/v2/"),
        ("127.0.0.1:5000/b:1", refused, "curl -sSi http://127.0.0.1:5000/v2/"),
        (APP, "tag does not exist: x", "docker image ls"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1", none, ecr),
        ("public.ecr.aws/alias/app:1", none, public),
        ("europe-west1-docker.pkg.dev/p/repo/app:1", 'name unknown: Repository "repo" not found', google),
        ("de.icr.io/team/app:1", "name unknown: no such namespace", "ibmcloud cr namespace-add team"),
        (APP, "name unknown: no such repository"),
        (APP, "the registry answers 413 Request Entity Too Large", proxy),
        (APP, "error parsing HTTP 413 response body: invalid character '<' looking for beginning of value", proxy),
        (APP, "unknown: unexpected status from PUT request to https://r/v2/: 413 Request Entity Too Large", proxy),
        (APP, "received unexpected HTTP status: 504 Gateway Time-out"),
        (APP, "toomanyrequests: Rate exceeded", f"docker pushsafe {APP}   (again, in a while)"),
    ):
        found = failed(words, reference=reference)
        assert (found.message, found.next) == (words, tuple(commands)), reference


def test_what_has_no_name_in_the_engine_is_not_given_another_there() -> None:
    """An index, or what is pushed for one: the tag is what the command was given."""
    hub = Refusal(ref(EVES), ADA, (said(DENIED),), NOW)
    assert reasons.denial(hub, FOREIGN).next[0].startswith("docker tag docker.io/eve/app:1 ")
    nameless = hub._replace(command="")
    assert reasons.denial(nameless, FOREIGN).next[0] == "the same again with -t docker.io/ada/app:TAG"


def test_an_untrusted_authority_is_mended_for_this_registry() -> None:
    found = failed("x509: unknown authority", reference="registry.test:5000/a/b:1")
    assert "/etc/docker/certs.d/registry.test:5000/" in found.next[0]


def test_no_authority_helps_where_none_is_at_fault() -> None:
    for text, command in (
        ("http: server gave HTTP response to HTTPS client", 'add "registry.test:5000" to insecure-registries'),
        ("x509: certificate has expired or is not yet valid", "date; openssl s_client -connect registry.test:5000"),
        ("x509: certificate relies on legacy Common Name field", "reissue the registry's certificate"),
        ("x509: certificate is valid for a.test, not registry.test", "openssl s_client -connect registry.test:5000"),
    ):
        (told,) = failed(text, reference="registry.test:5000/a/b:1").next
        assert told.startswith(command), text
        assert "certs.d" not in told, text


def test_a_failure_quotes_the_registry_or_has_words_of_its_own() -> None:
    told = token(403, message=FIREWALL)
    assert failed(DENIED, told).message == f"{DENIED} ({told.message})"
    assert classify(Refusal(ref(APP), ADA, (), NOW)) == Failure(BROKEN, "the push failed")


def test_a_credential_without_a_name_is_called_a_credential() -> None:
    found = denied(Case("", logged_in(user=""), DENIED, (token(401),), REJECTED))
    assert found.summary.startswith("registry.test does not accept the credential (the config file ")


def test_the_registry_is_asked_unless_the_words_name_another_cause() -> None:
    for words in (DENIED, "no basic auth credentials", "the moon is wrong", ""):
        assert needs_investigation(words), words
    for words in ("tag invalid: the tag already exists", "x509: certificate signed by unknown authority"):
        assert not needs_investigation(words), words


def test_what_this_machine_knows_is_evidence_too() -> None:
    for credential, words, sent in (
        (ADA, "found in the config file /home/ada/.docker/config.json, user ada", True),
        (logged_in(user=""), "found in the config file /home/ada/.docker/config.json", True),
        (NOBODY, "none was found for registry.test, so none was sent", False),
        (broken(), "unreadable: docker-credential-desktop: not found in PATH; none was sent", False),
    ):
        assert credential_evidence(credential) == Evidence(Stage.CREDENTIAL, words, sent=sent), words


def test_the_last_answer_of_a_stage_counts() -> None:
    first, last = bare(401), probe(202)
    assert Refusal(ref(APP), ADA, (first, last), NOW).of(Stage.PROBE) is last
    assert Refusal(ref(APP), ADA, (), NOW).of(Stage.PROBE) is None


# ---------------------------------------------------------------------- another address than the registry's own


def test_where_the_engine_was_sent_with_an_upload() -> None:
    """The engine's words of the last step; the address that they tell of, if it is not the registry's own."""
    elsewhere, uploads = "http://127.0.0.1:9", "v2/team/app/blobs/uploads/8f2d"
    for words, address in (
        (f'failed to do request: Put "{elsewhere}/{uploads}?digest=x": dial tcp 127.0.0.1:9: refused', elsewhere),
        (f'Patch "{elsewhere}/{uploads}": dial tcp 127.0.0.1:9: connect: connection refused', elsewhere),
        (f'Put "https://a.test/{uploads}": x509: certificate is valid for b', "https://a.test"),
    ):
        found = failed(words)
        assert found.kind is BROKEN, words
        told = f"registry.test sends uploads to {address}, which is not its own address: "
        assert found.message.startswith(told), words
        assert "Host and X-Forwarded-Proto" in found.next[0], words
    for base in ("https://registry.test", "https://registry.test:443", "http://registry.test"):
        assert failed(f'Put "{base}/{uploads}": dial tcp 10.0.0.1:443: i/o timeout').kind is FailureKind.NETWORK, base
    token_server = 'Get "https://auth.test/token": dial tcp 10.0.0.1:443: i/o timeout'
    assert failed(token_server).kind is FailureKind.NETWORK


def test_what_was_found_of_the_address_explains_any_words() -> None:
    learnt = (BEARER, GRANTED, probe(202), led(Stage.PROBE, "it sends uploads elsewhere"))
    for words in (DENIED, INSUFFICIENT, "unknown: unexpected status", "unknown blob"):
        found = failed(words, *learnt)
        assert (found.kind, found.message) == (BROKEN, "it sends uploads elsewhere"), words


def test_a_token_server_that_gives_no_token_denies_nobody() -> None:
    odd = token(405, message=f"{HOLDS_NONE} (denied: not like this)", code="DENIED")
    none = tuple(token(status, message=HOLDS_NONE, code="NO_TOKEN") for status in (200, 204, 413))
    for answer in (*none, odd):
        for who in (ADA, NOBODY):
            for words in (DENIED, INSUFFICIENT, NO_LOGIN, "invalid character '<'"):
                found = failed(words, BEARER, answer._replace(sent=who is ADA), who=who)
                assert found.kind is BROKEN, (answer, words)
                assert HOLDS_NONE in found.message, (answer, words)
                assert "login" not in "".join(found.next), (answer, words)


def test_a_token_server_that_names_a_rule_is_believed() -> None:
    answer = token(405, message=f"{HOLDS_NONE} (namespace is disabled)", code="DENIED")
    assert failed(DENIED, BEARER, answer).kind is POLICY


def test_a_manifest_that_is_not_known_is_no_missing_repository() -> None:
    """Said in answer to the manifest itself (Harbor, in another error's words)."""
    for words in ("manifest_unknown: manifest unknown", "manifest unknown: the object is locked"):
        assert failed(words, BEARER, GRANTED, probe(202)).kind is BROKEN, words


# ---------------------------------------------------------------------- foreseen


@dataclass(frozen=True)
class Ahead:
    """`verdict` is None where a push has to be tried."""

    name: str
    credential: Credential
    learnt: tuple[Evidence, ...]
    verdict: DenialReason | FailureKind | None
    reference: str = APP
    store: EngineKind | None = CLASSIC

    def refusal(self) -> Refusal:
        evidence = (credential_evidence(self.credential), *self.learnt)
        return Refusal(ref(self.reference), self.credential, evidence, NOW, self.store)


FORESEEN = (
    # ------------------------------------------------------------------ accepted
    Ahead("basic", ADA, (BASIC, OPAQUE, probe(202)), None),
    Ahead("bearer", ADA, (BEARER, GRANTED, probe(202)), None),
    Ahead("opaque", ADA, (BEARER, OPAQUE, probe(202)), None),
    Ahead("open", ADA, (OPEN, bare(202)), None),
    Ahead("open-and-nobody", NOBODY, (OPEN, bare(202)), None),
    Ahead("nobody-may-write", NOBODY, (BEARER, NO_GRANT_FOR_NOBODY, bare(202)), None),
    Ahead("expired-and-taken-all-the-same", OLD, (BASIC, OPAQUE, probe(202)), None),
    Ahead("accepted-against-the-grant", ADA, (BEARER, READ_ONLY, probe(202)), None),
    # ------------------------------------------------------------------ nobody is logged in
    Ahead("nobody-at-basic", NOBODY, (BASIC, bare(401)), NOT_LOGGED_IN),
    Ahead("nobody-at-bearer", NOBODY, (BEARER, NO_GRANT_FOR_NOBODY, bare(401)), NOT_LOGGED_IN),
    Ahead("nobody-and-403", NOBODY, (BEARER, NO_GRANT_FOR_NOBODY, bare(403)), NOT_LOGGED_IN),
    Ahead("nobody-and-no-token", NOBODY, (BEARER, token(401, sent=False)), NOT_LOGGED_IN),
    Ahead("nobody-at-an-open-one", NOBODY, (OPEN, bare(401)), NOT_LOGGED_IN),
    Ahead("a-broken-helper", broken(), (BASIC, bare(401)), NOT_LOGGED_IN),
    Ahead("nobody-and-a-missing-repository", NOBODY, (OPEN, bare(404, UNKNOWN_NAME)), MISSING),
    Ahead("nobody-and-403-without-a-challenge", NOBODY, (OPEN, bare(403)), None),
    Ahead("nobody-and-a-busy-token-server", NOBODY, (BEARER, token(503, sent=False)), None),
    Ahead("nobody-and-a-busy-registry", NOBODY, (BEARER, NO_GRANT_FOR_NOBODY, bare(503)), None),
    Ahead("nobody-and-a-limit", NOBODY, (BEARER, token(429, message="too many requests", sent=False)), None),
    Ahead("nobody-and-the-challenge-alone", NOBODY, (BEARER,), None),
    Ahead("nobody-and-away", NOBODY, (AWAY,), None),
    # ------------------------------------------------------------------ the credential
    Ahead("wrong-at-basic", ADA, (BASIC, token(401)), REJECTED),
    Ahead("wrong-at-bearer", ADA, (BEARER, token(401)), REJECTED),
    Ahead("wrong-for-the-engine", ADA, (AWAY, engine_login(401, "unauthorized")), REJECTED),
    Ahead("wrong-by-words", ADA, (BEARER, token(403, message="incorrect username or password")), REJECTED),
    Ahead("forbidden-twice", ADA, (BEARER, token(403), login(403)), REJECTED),
    Ahead("unknown-without-a-scope", ADA, (BEARER, token(403), login(401)), REJECTED),
    Ahead("expired", OLD, (BASIC, token(403)), EXPIRED),
    Ahead("expired-at-the-upload", OLD, (BEARER, OPAQUE, probe(403)), EXPIRED),
    Ahead("expired-by-words", ADA, (BASIC, token(403, message=TOO_OLD)), EXPIRED),
    Ahead("expired-and-busy", OLD, (BEARER, token(503)), None),
    # ------------------------------------------------------------------ it stays at home
    Ahead("half-open", ADA, (*HALF_OPEN, probe(202)), NOT_SENT),
    Ahead("half-open-403", ADA, (OPEN, bare(403), probe(202)), NOT_SENT),
    Ahead("half-open-containerd", ADA, (*HALF_OPEN, probe(202)), None, store=CONTAINERD),
    Ahead("half-open-and-no-engine", ADA, (OPEN, bare(401), probe(202)), None, store=None),
    Ahead("half-open-and-wrong", ADA, (OPEN, bare(401), token(401)), REJECTED),
    Ahead("half-open-and-no-right", ADA, (*HALF_OPEN, probe(403)), NO_RIGHT),
    Ahead("half-open-and-busy", ADA, (*HALF_OPEN, probe(503)), None),
    # ------------------------------------------------------------------ the right
    Ahead("a-grant-without-push", ADA, (BEARER, READ_ONLY, probe(401)), NO_RIGHT),
    Ahead("an-empty-grant", ADA, (BEARER, NO_GRANT, probe(401)), NO_RIGHT),
    Ahead("a-grant-and-403", ADA, (BEARER, GRANTED, probe(403, code="DENIED")), NO_RIGHT),
    # Whoever stands before the registry refused, or the registry does not trust the token server.
    Ahead("a-grant-and-403-of-nobody", ADA, (BEARER, GRANTED, probe(403)), None),
    Ahead("a-grant-and-401", ADA, (BEARER, GRANTED, probe(401)), None),
    Ahead("a-grant-and-403-at-home", HUB, (BEARER, GRANTED, probe(403, code="DENIED")), NO_RIGHT, ADAS),
    Ahead("basic-and-403", ADA, (BASIC, OPAQUE, probe(403)), NO_RIGHT),
    Ahead("basic-and-401", ADA, (BASIC, OPAQUE, probe(401)), NO_RIGHT),
    Ahead("registry-token", TOKEN_ONLY, (BEARER, probe(403)), NO_RIGHT),
    Ahead("known-without-a-scope", ADA, (BEARER, token(403), login(200)), NO_RIGHT),
    Ahead("gitlab", ADA, (BEARER, token(403, message="access forbidden")), NO_RIGHT),
    Ahead("hub-elsewhere", HUB, (BEARER, READ_ONLY, probe(401)), FOREIGN, EVES),
    Ahead("hub-at-home", HUB, (BEARER, READ_ONLY, probe(401)), SMALL_SCOPE, ADAS),
    Ahead("robot-elsewhere", ROBOT, (BEARER, NO_GRANT, probe(401)), FOREIGN, "quay.io/eve/app:1"),
    Ahead("robot-at-home", ROBOT, (BEARER, NO_GRANT, probe(401)), SMALL_SCOPE, "quay.io/team/app:1"),
    Ahead("opaque-and-no-token-for-nobody", ADA, (*OPAQUE_403, token(401, sent=False)), NO_RIGHT),
    Ahead("opaque-and-nobody-401", ADA, (*OPAQUE_403, NOBODYS, bare(401)), NO_RIGHT),
    Ahead("opaque-and-known", ADA, (*OPAQUE_401, NOBODYS, login(200), login(401, sent=False)), NO_RIGHT),
    Ahead("opaque-and-unknown", ADA, (*OPAQUE_401, NOBODYS, login(401)), REJECTED),
    Ahead("opaque-and-nobody-the-same", ADA, (*OPAQUE_403, NOBODYS, bare(403)), None),
    Ahead("opaque-and-nobody-may", ADA, (*OPAQUE_403, NOBODYS, bare(202)), None),
    Ahead("opaque-and-nobody-as-welcome", ADA, (*OPAQUE_401, NOBODYS, login(200), login(200, sent=False)), None),
    Ahead("opaque-401-and-nobody-was-not-asked", ADA, OPAQUE_401, None),
    Ahead("token-403-and-nothing-more", ADA, (BEARER, token(403)), None),
    Ahead("token-403-and-an-odd-login", ADA, (BEARER, token(403), login(500)), None),
    # ------------------------------------------------------------------ the registry names another cause
    Ahead("missing-by-name", ADA, (BEARER, GRANTED, probe(404, UNKNOWN_NAME, "NAME_UNKNOWN")), MISSING),
    Ahead("missing-by-its-code", ADA, (BEARER, GRANTED, probe(404, "", "NAME_UNKNOWN")), MISSING),
    Ahead("a-bare-404", ADA, (BEARER, GRANTED, probe(404)), None),
    Ahead("read-only", ADA, (BEARER, GRANTED, probe(405, "The operation is unsupported.")), POLICY),
    Ahead("a-quota", ADA, (BASIC, OPAQUE, probe(403, "exceeded its image storage quota")), POLICY),
    Ahead("a-firewall", ADA, (BEARER, token(403, message="IP '10.0.0.1' is not allowed access. Refer")), POLICY),
    # ------------------------------------------------------------------ away, busy, odd
    Ahead("away", ADA, (AWAY,), None),
    Ahead("away-and-the-engine-logs-in", ADA, (AWAY, ENGINE_LOGGED_IN), None),
    Ahead("away-for-the-engine-too", ADA, (AWAY, engine_login(500, "dial tcp: connection refused")), None),
    Ahead("away-and-a-silent-engine", ADA, (AWAY, engine_login(None, "it is silent")), None),
    Ahead("nothing-was-learnt", ADA, (), None),
    Ahead("the-challenge-alone", ADA, (BEARER,), None),
    Ahead("no-token-in-the-answer", ADA, (BEARER, token(200, message=HOLDS_NONE)), None),
    *(Ahead(f"token-{status}", ADA, (BEARER, token(status)), None) for status in (400, 404, 429, 500, 503)),
    *(Ahead(f"upload-{status}", ADA, (BEARER, GRANTED, probe(status)), None) for status in (307, 405, 429, 500)),
    *(Ahead(f"base-{status}", ADA, (ping(status), bare(401)), None) for status in (403, 404, 429, 503)),
    Ahead("a-limit-by-its-words", ADA, (BASIC, OPAQUE, probe(403, "a secondary rate limit. Please wait")), None),
)


def test_what_is_foreseen() -> None:
    for case in FORESEEN:
        found = foresee(case.refusal())
        if found is None:
            assert case.verdict is None, case.name
            continue
        assert (found.reason if isinstance(found, Denial) else found.kind) is case.verdict, case.name
        assert found.evidence == case.refusal().evidence, case.name


def test_a_registry_that_names_another_address_is_no_refusal() -> None:
    """Nor one that anything but its own settings, or its proxy's, would change."""
    why = "https://registry.test sends uploads to http://registry.test, which is not its own address: it is plain HTTP"
    upload = (BEARER, GRANTED, probe(202), led(Stage.PROBE, why))
    for credential, learnt in (
        (ADA, upload),
        (OLD, upload),
        (NOBODY, (OPEN, bare(202), led(Stage.PROBE, why, sent=False))),
        (ADA, (BEARER, led(Stage.TOKEN, why))),
        (ADA, (led(Stage.PING, why),)),
    ):
        found = foresee(Ahead("led", credential, learnt, None).refusal())
        assert isinstance(found, Failure), learnt
        assert (found.kind, found.message) == (BROKEN, why), learnt
        assert "Host and X-Forwarded-Proto" in found.next[0], learnt
        assert "login" not in "".join(found.next), learnt


def test_nothing_unclear_is_foreseen() -> None:
    verdicts = {case.verdict for case in FORESEEN}
    assert verdicts == {*DenialReason, MISSING, POLICY, None} - {DenialReason.UNCLEAR, DenialReason.NO_READ_PERMISSION}


# ---------------------------------------------------------------------- what is said


def foretold(name: str) -> str:
    found = foresee(next(case for case in FORESEEN if case.name == name).refusal())
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
        assert words in foretold(name), name


def test_the_nearest_login_is_named() -> None:
    for credential, words in (
        (nobody("registry.test", "registry.test:5000"), "there is a credential for registry.test:5000"),
        (NOBODY._replace(callers_config="/home/ada/.docker/config.json"), "sudo changed the home folder"),
        (nobody("registry.test", "ghcr.io"), ""),
    ):
        found = foresee(Refusal(ref("registry.test/a:1"), credential, (BASIC, bare(401)), NOW))
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
