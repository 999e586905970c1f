"""Peculiar registries as scripts, and what a push to each of them truly meets, for every kind of login.

The engines' words were read from real ones (20.10 and 28.5) that pushed to these very scripts; tests/lab/test_quirks.py
does it again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pushsafe.model.report import PreflightVerdict
from pushsafe.model.verdicts import DenialKind, DenialReason, FailureKind
from tests.fakes.registry import (
    BASE,
    DENIED,
    HOST,
    HTML_ERROR,
    SERVER_ERROR,
    TOO_MANY,
    UNAUTHORIZED,
    WRONG_LOGIN,
    Answer,
    Guard,
    Request,
    Rule,
    bearer_challenge,
    guarded,
    image,
    jwt,
    on,
    ping,
    redirect,
    refused,
)
from tests.fakes.storing import Storing

NAME = "acme/app"
"""The repository that every push is to; its tag is `1`."""
REQUESTS = 6
"""How many requests a refusal may cost."""

Login = tuple[str, str]
NOBODY: Login | None = None
WRITER, READER, WRONG = ("ada", "hunter2!"), ("rea", "hunter3!"), ("ada", "hunter1?")
EXPIRED, STRANGER = ("AWS", "old-secret"), ("other+robot", "hunter4!")
"""A token of yesterday; a robot that is known, and at home in another namespace."""

CLEAR_REALM = "http://registry-auth.example.com/token"
"""A token server that nobody may send a credential to."""

ACCEPTED: Literal["accepted"] = "accepted"
Store = Literal["classic", "containerd"]
Cause = DenialReason | FailureKind | Literal["accepted"]

_NO_AUTHENTICATION = {
    DenialReason.NOT_LOGGED_IN,
    DenialReason.CREDENTIAL_REJECTED,
    DenialReason.CREDENTIAL_EXPIRED,
    DenialReason.CREDENTIAL_NOT_SENT,
}


@dataclass(frozen=True)
class Meets:
    """What a push with `login` truly meets, and what the engine of each image store says to it (`*`: anything).

    `containerd_cause` is there where the containerd store meets something else than the classic one, `older` where
    engine 20.10 says it in other words. `preflight` is what can be known before a push by the classic one. `lasting`:
    the classic engine tries for a minute before it says so.
    """

    login: Login | None
    cause: Cause
    classic: str = ""
    containerd: str = ""
    containerd_cause: Cause | None = None
    older: str = ""
    preflight: PreflightVerdict = PreflightVerdict.REFUSED
    lasting: bool = False

    def by(self, store: Store) -> tuple[Cause, str]:
        """The cause and the engine's words."""
        if store == "classic":
            return self.cause, self.classic
        return self.containerd_cause or self.cause, self.containerd

    def foreseen(self, store: Store) -> PreflightVerdict:
        """What can be known before a push by that store."""
        if store == "containerd" and self.containerd_cause == ACCEPTED:
            return PreflightVerdict.ACCEPTED
        return self.preflight


@dataclass(frozen=True)
class Quirk:
    """A registry with its whole store; `rules` makes its script over what it holds."""

    name: str
    rules: Callable[[Storing], list[Rule]]
    meets: tuple[Meets, ...]
    requests: int = REQUESTS


def kind_of(cause: Cause) -> DenialKind | None:
    """The kind of a denial by its reason; `None` for what is none."""
    if not isinstance(cause, DenialReason):
        return None
    if cause is DenialReason.UNCLEAR:
        return DenialKind.UNCLEAR
    return DenialKind.NO_AUTHENTICATION if cause in _NO_AUTHENTICATION else DenialKind.INSUFFICIENT_PERMISSION


# ------------------------------------------------------------------- who asks, and for what

_UPLOADS, _UPLOAD = r"/v2/.+/blobs/uploads/", r"/v2/.+/blobs/uploads/\w+"
_MANIFEST = r"/v2/.+/manifests/[^/]+"
_BASIC = 'Basic realm="registry"'


def _login(request: Request) -> Login | None:
    scheme, _, encoded = request.authorization.partition(" ")
    if scheme != "Basic":
        return None
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user, password


def _bearer(request: Request) -> str:
    scheme, _, token = request.authorization.partition(" ")
    return token if scheme == "Bearer" else ""


def _claims(request: Request) -> dict[str, object]:
    """What a token of ours says, JWT or not: its user (`sub`), and its actions in this repository."""
    token = _bearer(request)
    if token.count(".") != 2:
        return {"sub": token.removeprefix("opaque-"), "actions": []}
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return {"sub": claims["sub"], "actions": [action for entry in claims["access"] for action in entry["actions"]]}


def _writes(request: Request) -> bool:
    return request.method not in ("GET", "HEAD")


def _is_read(request: Request) -> bool:
    return not _writes(request)


def _is_content(request: Request) -> bool:
    return _is_read(request) and request.path != "/v2/"


def _nothing(_request: Request) -> bool:
    return False


# ------------------------------------------------------------------- kinds of registries


def _by_password(
    *,
    denied: Answer = DENIED,
    refusals: Mapping[Login, Answer] | None = None,
    public: Callable[[Request], bool] = _nothing,
) -> Guard:
    """Basic: the writer may do everything, the reader may read, nobody what is `public`, and all others nothing."""
    challenged = UNAUTHORIZED.having(WWW_Authenticate=_BASIC)

    def guard(request: Request) -> Answer | None:
        login = _login(request)
        if login is None:
            return None if public(request) else challenged
        if login in (WRITER, READER):
            return denied if login == READER and _writes(request) else None
        return (refusals or {}).get(login, challenged)

    return guard


Give = Callable[[Login | None, str], Answer]
"""A token server: who asks, for which scope."""


def _tokens(give: Give, path: str = "/token") -> list[Rule]:
    """Over GET only: the containerd store tries POST first."""
    return [
        on("GET", path, lambda request: give(_login(request), request.query.get("scope", ""))),
        on("POST", path, refused(405, "UNSUPPORTED", "The operation is unsupported.")),
    ]


_GRANTS: Mapping[Login | None, tuple[str, ...]] = {
    WRITER: ("pull", "push"), READER: ("pull",), STRANGER: (), NOBODY: (),
}  # fmt: skip


def _grants(wrong: Answer = WRONG_LOGIN, **nobody: tuple[str, ...]) -> Give:
    """JWTs that say what they grant."""
    grants = {**_GRANTS, NOBODY: nobody.get("nobody", ())}

    def give(login: Login | None, _scope: str) -> Answer:
        if login not in grants:
            return wrong
        return Answer(200, {"token": jwt(NAME, *grants[login], sub=login[0] if login else ""), "expires_in": 300})

    return give


def _opaque(everybody: bool) -> Give:
    """Tokens that say nothing; to `everybody`, or to those with a good password."""

    def give(login: Login | None, _scope: str) -> Answer:
        if login in (WRITER, READER):
            return Answer(200, {"token": f"opaque-{login[0]}"})
        return Answer(200, {"token": "opaque-somebody"}) if everybody else WRONG_LOGIN

    return give


_CHALLENGE = bearer_challenge()
_INSUFFICIENT = UNAUTHORIZED.having(WWW_Authenticate=f'{_CHALLENGE},error="insufficient_scope"')


def _by_grant(
    refusal: Answer = DENIED, *, challenge: str = _CHALLENGE, public: Callable[[Request], bool] = _nothing
) -> Guard:
    """Bearer: a token may do what it names."""

    def guard(request: Request) -> Answer | None:
        if not request.authorization:
            return None if public(request) else UNAUTHORIZED.having(WWW_Authenticate=challenge)
        needed = "push" if _writes(request) else "pull"
        allowed = request.path == "/v2/" or needed in _claims(request)["actions"]  # type: ignore[operator]
        return None if allowed else refusal

    return guard


def _by_user(unknown: Answer, denied: Answer, *, challenge: str = _CHALLENGE) -> Guard:
    """Bearer with opaque tokens: the registry looks up whose one is."""

    def guard(request: Request) -> Answer | None:
        if not request.authorization:
            return UNAUTHORIZED.having(WWW_Authenticate=challenge)
        user = _claims(request)["sub"]
        if user not in (WRITER[0], READER[0]):
            return unknown.having(WWW_Authenticate=challenge)
        return denied if user == READER[0] and _writes(request) else None

    return guard


def _immutable(store: Storing, refusal: Answer) -> Guard:
    """A tag that names something keeps it."""
    store.hold(NAME, "1", image())

    def guard(request: Request) -> Answer | None:
        if request.method != "PUT" or "/manifests/" not in request.path:
            return None
        tag = request.path.rpartition("/")[2]
        held = store.digest(NAME, tag)
        return None if held in ("", f"sha256:{hashlib.sha256(request.body).hexdigest()}") else refusal

    return guard


Script = Callable[[Storing], list[Rule]]


def _basic(*first: Rule, guard: Guard | None = None) -> Script:
    """`first` are answers to those who may write."""
    return lambda store: guarded(guard or _by_password(), [*first, ping(), *store.rules()])


def _jwt(*first: Rule, guard: Guard | None = None, give: Give | None = None) -> Script:
    behind = guard or _by_grant(_INSUFFICIENT)
    return lambda store: [*guarded(behind, [*first, ping(), *store.rules()]), *_tokens(give or _grants())]


def _odd_token(answer: Answer) -> Script:
    """The token server answers that to everybody."""
    return lambda store: [*guarded(_by_grant(), [ping(), *store.rules()]), *_tokens(lambda _who, _scope: answer)]


def _elsewhere(request: Request, path: str) -> str:
    """An address on another host, which stands for this very server."""
    return f"http://localhost:{request.headers['host'].rpartition(':')[2]}/elsewhere{path}"


# ------------------------------------------------------------------- registries by name

_ECR_EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
_ECR_DENIED = (
    "User: arn:aws:iam::123456789012:user/rea is not authorized to perform: ecr:InitiateLayerUpload on resource: "
    f"arn:aws:ecr:eu-central-1:123456789012:repository/{NAME} because no identity-based policy allows the "
    "ecr:InitiateLayerUpload action"
)
_ECR_MISSING = f"The repository with name '{NAME}' does not exist in the registry with id '123456789012'"
_ECR_IMMUTABLE = (
    f"The image tag '1' already exists in the '{NAME}' repository and cannot be overwritten because the repository is "
    "immutable."
)
_ecr_guard = _by_password(
    denied=refused(403, "DENIED", _ECR_DENIED), refusals={EXPIRED: refused(403, "DENIED", _ECR_EXPIRED)}
)


def _ecr_immutable(store: Storing) -> list[Rule]:
    immutable = _immutable(store, refused(400, "TAG_INVALID", _ECR_IMMUTABLE))
    return guarded(_ecr_guard, guarded(immutable, [ping(), *store.rules()]))


_GHCR_UNKNOWN = "unauthenticated: User cannot be authenticated with the token provided."
_GHCR_DENIED = "permission_denied: write_package"
_ghcr_guard = _by_user(refused(401, "UNAUTHORIZED", _GHCR_UNKNOWN), refused(403, "DENIED", _GHCR_DENIED))
_GHCR_LIMIT = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


def _ghcr(*first: Rule) -> Script:
    return _jwt(*first, guard=_ghcr_guard, give=_opaque(everybody=True))


_GITLAB_FORBIDDEN = "access forbidden"
_GITLAB_WRONG = "HTTP Basic: Access denied. The provided password or token is incorrect or your account has 2FA enabled"


def _strict_tokens(denied: Answer, wrong: Answer, nobody: Answer) -> Script:
    """A token server that refuses whoever may not do what is asked, and knows the good logins without a scope."""
    challenge = bearer_challenge(f"{BASE}/jwt/auth", "container_registry")

    def give(login: Login | None, scope: str) -> Answer:
        if login is None:
            return nobody
        if login not in (WRITER, READER):
            return wrong
        return denied if login == READER and "push" in scope else _grants()(login, scope)

    return lambda store: [
        *guarded(_by_grant(challenge=challenge), [ping(), *store.rules()]),
        *_tokens(give, "/jwt/auth"),
    ]


def _gitlab(status: int, code: str) -> Script:
    """With the status and code that a wrong password gets."""
    forbidden = refused(403, "DENIED", _GITLAB_FORBIDDEN)
    return _strict_tokens(forbidden, refused(status, code, _GITLAB_WRONG), forbidden)


_HARBOR_DENIED = ": ".join([f"unauthorized to access repository: {NAME}, action: push"] * 2)
_HARBOR_MISSING = "project acme not found: project acme not found"
_HARBOR_IMMUTABLE = f"Failed to process request due to '{NAME}:1' configured as immutable."
_HARBOR_QUOTA = (
    "adding 1.0 MiB of storage resource, which when updated to current usage of 10.9 MiB will exceed the configured "
    "upper limit of 10.0 MiB."
)
_harbor_guard = _by_grant(refused(401, "UNAUTHORIZED", _HARBOR_DENIED))


def _harbor(*first: Rule) -> Script:
    return _jwt(*first, guard=_harbor_guard)


def _harbor_immutable(store: Storing) -> list[Rule]:
    immutable = _immutable(store, refused(412, "PRECONDITION", _HARBOR_IMMUTABLE))
    return [*guarded(_harbor_guard, guarded(immutable, [ping(), *store.rules()])), *_tokens(_grants())]


def _harbor_without_project(store: Storing) -> list[Rule]:
    missing = _by_grant(refused(401, "UNAUTHORIZED", _HARBOR_MISSING))
    nothing = Answer(200, {"token": jwt(sub="ada")})

    def give(login: Login | None, scope: str) -> Answer:
        return nothing if login == WRITER else _grants()(login, scope)

    return [*guarded(missing, [ping(), *store.rules()]), *_tokens(give)]


_QUAY_DENIED, _QUAY_WRONG = "access to the requested resource is not authorized", "Invalid Username or Password"
_quay = _jwt(
    guard=_by_grant(refused(401, "UNAUTHORIZED", _QUAY_DENIED).having(WWW_Authenticate=_CHALLENGE)),
    give=_grants(refused(401, "UNAUTHORIZED", _QUAY_WRONG)),
)


_opaque_guard = _by_user(UNAUTHORIZED, UNAUTHORIZED.having(WWW_Authenticate=_CHALLENGE))


def _open(guard: Guard, *tokens: Rule) -> Script:
    return lambda store: [*guarded(guard, [ping(), *store.rules()]), *tokens]


def _redirecting_realm(store: Storing) -> list[Rule]:
    """Engines follow, and leave the credential behind."""
    token = _tokens(_grants(), "/elsewhere/token")
    moved = on("GET", "/token", lambda request: redirect(_elsewhere(request, "/token")))
    return [moved, *guarded(_by_grant(), [ping(), *store.rules()]), *token, *_tokens(_grants())]


def _redirecting_upload(store: Storing) -> list[Rule]:
    """The other host lets everybody in who was sent there."""

    def there(request: Request) -> Answer:
        answer = store.answer(replace(request, path=request.path.removeprefix("/elsewhere")))
        return answer.having(Location=_elsewhere(request, answer.headers["Location"]))

    moved = on("POST", _UPLOADS, lambda request: redirect(_elsewhere(request, request.path)))
    return [*_basic(moved)(store), on("POST|PATCH|PUT", f"/elsewhere{_UPLOADS}.*", there)]


NOT_LOGGED_IN, REJECTED = DenialReason.NOT_LOGGED_IN, DenialReason.CREDENTIAL_REJECTED
NOT_SENT, NO_RIGHT = DenialReason.CREDENTIAL_NOT_SENT, DenialReason.NO_WRITE_PERMISSION
POLICY, LIMITED, BROKEN = FailureKind.POLICY, FailureKind.RATE_LIMITED, FailureKind.REGISTRY_ERROR
MISSING = FailureKind.REPOSITORY_MISSING
UNKNOWN, YES = PreflightVerdict.UNKNOWN, PreflightVerdict.ACCEPTED

Words = tuple[str, str]


def _said(code: str, message: str) -> Words:
    """What the classic and the containerd store make of a registry's error."""
    return f"{code}: {message}", f"error from registry: {message}"


_DENIED = "denied: requested access to the resource is denied"
_REQUIRED = "authentication required"
_INCORRECT = "incorrect username or password"
_LOST = "push access denied, repository does not exist or may require authorization: "
_HEAD = f"unknown: unexpected status from HEAD request to http://{HOST}/v2/{NAME}/blobs/sha256:*: "
_POST = f"unexpected status from POST request to http://{HOST}/v2/{NAME}/blobs/uploads/*: "
_UNFETCHED = "unknown: failed to authorize: failed to fetch {} token: unexpected status from GET request to *: {}"

_FETCH = "failed to authorize: failed to fetch oauth token: "
_NO_TOKEN, _NO_JSON = (
    "authorization server did not include a token in the response",
    "unable to decode token response: ",
)
_BARE_DENIED = "error parsing HTTP 403 response body: unexpected end of JSON input*"

_PUSHED = Meets(WRITER, ACCEPTED, preflight=YES)
_SCOPE = (_DENIED, f"{_LOST}server message: insufficient_scope: authorization failed")
_NO_BASIC = Meets(
    NOBODY, NOT_LOGGED_IN, "no basic auth credentials", f"{_LOST}authorization failed: no basic auth credentials"
)
_BASIC_WRONG = Meets(WRONG, REJECTED, f"unauthorized: {_REQUIRED}", f"{_HEAD}401 Unauthorized")
_BASIC_READER = Meets(READER, NO_RIGHT, *_said("denied", "requested access to the resource is denied"))
_TOKEN_WRONG = Meets(WRONG, REJECTED, *_said("unauthorized", _INCORRECT))

QUIRKS: tuple[Quirk, ...] = (
    # ------------------------------------------------------------------ by name
    Quirk(
        "ecr",
        _basic(guard=_ecr_guard),
        (
            _PUSHED,
            _NO_BASIC,
            _BASIC_WRONG,
            Meets(EXPIRED, DenialReason.CREDENTIAL_EXPIRED, f"denied: {_ECR_EXPIRED}", f"{_HEAD}403 Forbidden"),
            Meets(READER, NO_RIGHT, *_said("denied", _ECR_DENIED)),
        ),
    ),
    Quirk(
        "ecr-repository-missing",
        _basic(on("POST", _UPLOADS, refused(404, "NAME_UNKNOWN", _ECR_MISSING)), guard=_ecr_guard),
        (Meets(WRITER, MISSING, *_said("name unknown", _ECR_MISSING)),),
    ),
    Quirk(
        "ecr-immutable", _ecr_immutable, (Meets(WRITER, POLICY, *_said("tag invalid", _ECR_IMMUTABLE), preflight=YES),)
    ),
    Quirk(
        "ghcr",
        _ghcr(),
        (
            _PUSHED,
            Meets(NOBODY, NOT_LOGGED_IN, f"unauthorized: {_GHCR_UNKNOWN}", f"{_HEAD}401 Unauthorized"),
            Meets(WRONG, REJECTED, f"unauthorized: {_GHCR_UNKNOWN}", f"{_HEAD}401 Unauthorized"),
            Meets(READER, NO_RIGHT, *_said("denied", _GHCR_DENIED)),
        ),
    ),
    Quirk(
        "ghcr-rate-limited",
        _ghcr(on("POST", _UPLOADS, Answer(403, {"message": _GHCR_LIMIT}))),
        (
            Meets(
                WRITER,
                LIMITED,
                f"error parsing HTTP 403 response body: *{_GHCR_LIMIT}*",
                f"error from registry: {_POST}403 Forbidden",
                preflight=UNKNOWN,
            ),
        ),
    ),
    Quirk(
        "gitlab",
        _gitlab(401, "UNAUTHORIZED"),
        (
            _PUSHED,
            Meets(NOBODY, NOT_LOGGED_IN, *_said("denied", _GITLAB_FORBIDDEN)),
            Meets(WRONG, REJECTED, *_said("unauthorized", _GITLAB_WRONG)),
            Meets(READER, NO_RIGHT, *_said("denied", _GITLAB_FORBIDDEN)),
        ),
    ),
    Quirk(
        "gitlab-wrong-403",
        _gitlab(403, "DENIED"),
        (
            Meets(WRONG, REJECTED, *_said("denied", _GITLAB_WRONG)),
            Meets(READER, NO_RIGHT, *_said("denied", _GITLAB_FORBIDDEN)),
        ),
    ),
    Quirk(
        "harbor",
        _harbor(),
        (
            _PUSHED,
            Meets(NOBODY, NOT_LOGGED_IN, f"unauthorized: {_HARBOR_DENIED}", f"{_HEAD}401 Unauthorized"),
            _TOKEN_WRONG,
            Meets(READER, NO_RIGHT, *_said("unauthorized", _HARBOR_DENIED)),
        ),
    ),
    Quirk(
        "harbor-immutable",
        _harbor_immutable,
        (Meets(WRITER, POLICY, *_said("unknown", _HARBOR_IMMUTABLE), preflight=YES),),
    ),
    Quirk(
        "harbor-quota-403",
        _harbor(on("PUT", _UPLOAD, refused(403, "DENIED", _HARBOR_QUOTA))),
        (Meets(WRITER, POLICY, *_said("denied", _HARBOR_QUOTA), preflight=YES),),
    ),
    Quirk(
        "harbor-quota-412",
        _harbor(on("PUT", _MANIFEST, refused(412, "PRECONDITION", _HARBOR_QUOTA))),
        (Meets(WRITER, POLICY, *_said("unknown", _HARBOR_QUOTA), preflight=YES),),
    ),
    Quirk(
        "harbor-project-missing",
        _harbor_without_project,
        (
            Meets(WRITER, MISSING, f"unauthorized: {_HARBOR_MISSING}", f"{_HEAD}401 Unauthorized"),
            Meets(NOBODY, MISSING, f"unauthorized: {_HARBOR_MISSING}", f"{_HEAD}401 Unauthorized"),
        ),
    ),
    Quirk(
        "quay",
        _quay,
        (
            _PUSHED,
            Meets(NOBODY, NOT_LOGGED_IN, f"unauthorized: {_QUAY_DENIED}", f"{_HEAD}401 Unauthorized"),
            Meets(WRONG, REJECTED, *_said("unauthorized", _QUAY_WRONG)),
            Meets(READER, NO_RIGHT, *_said("unauthorized", _QUAY_DENIED)),
            Meets(STRANGER, NO_RIGHT, f"unauthorized: {_QUAY_DENIED}", f"{_HEAD}401 Unauthorized"),
        ),
    ),
    Quirk("zot", _basic(), (_PUSHED, _NO_BASIC, _BASIC_WRONG, _BASIC_READER)),
    # ------------------------------------------------------------------ what nobody may read
    Quirk(
        "zot-anonymous-pull",
        _basic(guard=_by_password(public=_is_content)),
        (_PUSHED, _NO_BASIC, Meets(WRONG, REJECTED, *_said("unauthorized", _REQUIRED)), _BASIC_READER),
    ),
    Quirk(
        "bearer",
        _jwt(),
        (_PUSHED, Meets(NOBODY, NOT_LOGGED_IN, *_SCOPE), _TOKEN_WRONG, Meets(READER, NO_RIGHT, *_SCOPE)),
    ),
    Quirk(
        "bearer-anonymous-pull",
        _jwt(give=_grants(nobody=("pull",))),
        (_PUSHED, Meets(NOBODY, NOT_LOGGED_IN, *_SCOPE), _TOKEN_WRONG, Meets(READER, NO_RIGHT, *_SCOPE)),
    ),
    # The classic store sends no credential, whatever it is worth.
    Quirk(
        "open-basic",
        _open(_by_password(public=_is_read)),
        (
            Meets(WRITER, NOT_SENT, f"unauthorized: {_REQUIRED}", containerd_cause=ACCEPTED),
            Meets(NOBODY, NOT_LOGGED_IN, f"unauthorized: {_REQUIRED}", _NO_BASIC.containerd),
            Meets(WRONG, REJECTED, *_said("unauthorized", _REQUIRED)),
            Meets(READER, NO_RIGHT, f"unauthorized: {_REQUIRED}", _BASIC_READER.containerd),
        ),
    ),
    Quirk(
        "open-bearer",
        _open(_by_grant(_INSUFFICIENT, public=_is_read), *_tokens(_grants())),
        (
            Meets(WRITER, NOT_SENT, f"unauthorized: {_REQUIRED}", containerd_cause=ACCEPTED),
            Meets(NOBODY, NOT_LOGGED_IN, f"unauthorized: {_REQUIRED}", _SCOPE[1]),
            Meets(WRONG, REJECTED, f"unauthorized: {_REQUIRED}", _TOKEN_WRONG.containerd),
            Meets(READER, NO_RIGHT, f"unauthorized: {_REQUIRED}", _SCOPE[1]),
        ),
    ),
    # ------------------------------------------------------------------ tokens and token servers
    Quirk(
        "opaque",
        _jwt(guard=_opaque_guard, give=_opaque(everybody=False)),
        (
            _PUSHED,
            replace(_TOKEN_WRONG, login=NOBODY, cause=NOT_LOGGED_IN),
            _TOKEN_WRONG,
            Meets(READER, NO_RIGHT, *_said("unauthorized", _REQUIRED)),
        ),
    ),
    Quirk(
        "opaque-to-everybody",
        _jwt(guard=_opaque_guard, give=_opaque(everybody=True)),
        (
            _PUSHED,
            Meets(NOBODY, NOT_LOGGED_IN, f"unauthorized: {_REQUIRED}", f"{_HEAD}401 Unauthorized"),
            _BASIC_WRONG,
            Meets(READER, NO_RIGHT, *_said("unauthorized", _REQUIRED)),
        ),
    ),
    Quirk(
        "token-bare-403",
        _strict_tokens(Answer(403), Answer(401), Answer(401)),
        (
            _PUSHED,
            Meets(
                NOBODY,
                NOT_LOGGED_IN,
                "unauthorized:",
                _UNFETCHED.format("anonymous", "401 Unauthorized"),
                older=f"unauthorized: {_REQUIRED}",
            ),
            Meets(
                WRONG,
                REJECTED,
                "unauthorized:",
                _UNFETCHED.format("oauth", "401 Unauthorized"),
                older=f"unauthorized: {_REQUIRED}",
            ),
            Meets(READER, NO_RIGHT, "denied:", _UNFETCHED.format("oauth", "403 Forbidden"), older=_BARE_DENIED),
        ),
    ),
    Quirk(
        "token-bare-403-to-all",
        _strict_tokens(Answer(403), Answer(403), Answer(403)),
        (
            _PUSHED,
            Meets(
                NOBODY, NOT_LOGGED_IN, "denied:", _UNFETCHED.format("anonymous", "403 Forbidden"), older=_BARE_DENIED
            ),
            Meets(WRONG, REJECTED, "denied:", _UNFETCHED.format("oauth", "403 Forbidden"), older=_BARE_DENIED),
            Meets(READER, NO_RIGHT, "denied:", _UNFETCHED.format("oauth", "403 Forbidden"), older=_BARE_DENIED),
        ),
    ),
    Quirk(
        "token-empty",
        _odd_token(Answer(200, {})),
        (Meets(WRITER, BROKEN, _NO_TOKEN, _FETCH + _NO_TOKEN, preflight=UNKNOWN),),
    ),
    Quirk(
        "token-html",
        _odd_token(Answer(200, "<html><body>Welcome</body></html>").having(Content_Type="text/html")),
        (
            Meets(
                WRITER,
                BROKEN,
                _NO_JSON + "invalid character '<' looking for beginning of value",
                _FETCH + _NO_JSON + "invalid character '<' looking for beginning of value",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    Quirk(
        "token-number",
        _odd_token(Answer(200, {"token": 42})),
        (
            Meets(
                WRITER,
                BROKEN,
                _NO_JSON + "json: cannot unmarshal number into Go struct field *",
                _FETCH + _NO_JSON + "json: cannot unmarshal number into Go struct field *",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    Quirk(
        "token-list",
        _odd_token(Answer(200, [])),
        (
            Meets(
                WRITER,
                BROKEN,
                _NO_JSON + "json: cannot unmarshal array into Go value of type *",
                _FETCH + _NO_JSON + "json: cannot unmarshal array into Go value of type *",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    # 1.1 MiB, which engines read.
    Quirk(
        "token-huge",
        _odd_token(Answer(200, {"token": jwt(NAME, "pull", "push", sub="ada"), "padding": "x" * 1_153_434})),
        (Meets(WRITER, ACCEPTED, preflight=UNKNOWN),),
    ),
    Quirk(
        "token-rate-limited",
        _odd_token(TOO_MANY),
        (Meets(WRITER, LIMITED, *_said("toomanyrequests", "too many requests"), preflight=UNKNOWN),),
    ),
    # ------------------------------------------------------------------ other hosts
    Quirk(
        "realm-in-clear",
        lambda store: guarded(_by_grant(challenge=bearer_challenge(CLEAR_REALM)), [ping(), *store.rules()]),
        (
            Meets(
                WRITER,
                FailureKind.NETWORK,
                "dial tcp: *",
                "failed to authorize: failed to fetch oauth token: *dial tcp: *",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    # A push is denied there whatever its credential is worth, and only a log of the engine's requests would tell.
    Quirk(
        "realm-redirects",
        _redirecting_realm,
        (Meets(WRITER, DenialReason.UNCLEAR, _DENIED, f"{_HEAD}403 Forbidden", preflight=UNKNOWN),),
    ),
    Quirk("upload-redirects", _redirecting_upload, (Meets(WRITER, ACCEPTED, preflight=UNKNOWN),)),
    # ------------------------------------------------------------------ servers in trouble, and odd ones
    Quirk(
        "upload-rate-limited",
        _basic(on("POST", _UPLOADS, TOO_MANY)),
        (Meets(WRITER, LIMITED, *_said("toomanyrequests", "too many requests"), preflight=UNKNOWN),),
    ),
    Quirk(
        "upload-500",
        _basic(on("POST", _UPLOADS, SERVER_ERROR)),
        (
            Meets(
                WRITER,
                BROKEN,
                "received unexpected HTTP status: 500 Internal Server Error",
                "error from registry: unknown error",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    Quirk(
        "upload-502-html",
        _basic(on("POST", _UPLOADS, HTML_ERROR)),
        (
            Meets(
                WRITER,
                BROKEN,
                "received unexpected HTTP status: 502 Bad Gateway",
                f"unknown: {_POST}502 Bad Gateway",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    Quirk(
        "upload-404",
        _basic(on("POST", _UPLOADS, Answer(404))),
        (
            Meets(
                WRITER,
                BROKEN,
                "unknown:",
                f"unknown: {_POST}404 Not Found",
                older="error parsing HTTP 404 response body: unexpected end of JSON input*",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
    Quirk(
        "upload-405",
        _basic(on("POST", _UPLOADS, Answer(405))),
        (
            Meets(
                WRITER,
                BROKEN,
                "unknown:",
                f"unknown: {_POST}405 Method Not Allowed",
                older="error parsing HTTP 405 response body: unexpected end of JSON input*",
                preflight=UNKNOWN,
                lasting=True,
            ),
        ),
    ),
)
