"""Probing what a push to one repository, or a read from it, would meet.

Nothing is written, with one exception: Quay creates a missing repository when an account that may create it requests a
push token (quay/quay `endpoints/v2/v2auth.py`), as for every `docker push`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus

from pushsafe.model.credentials import Credential, CredentialKind
from pushsafe.model.errors import RegistryAstray, RegistryUnreachable, UnsafeRealm
from pushsafe.model.evidence import REFUSED, WRONG_ADDRESS, Evidence, Preflight, Stage
from pushsafe.model.retry_policy import NO_RETRIES
from pushsafe.registry.auth import PULL, PUSH, Token, Tokens, basic
from pushsafe.registry.authorized import UPLOADS, Requester
from pushsafe.registry.http.transport import Endpoint, Response, Transport
from pushsafe.registry.responses import ACCEPT, Challenge, evidence, of_registry, parse_challenge
from pushsafe.registry.uploads import UploadSession


class Probe:
    """A probe of one repository: challenge, login, grant, and an upload, started within `asking` and cancelled `later`.
    With `reads`, a manifest is read in place of the upload.

    If a refusal can mean a wrong credential or a missing right, one or two more requests find out which. A probe takes
    six requests at most.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: Tokens,
        endpoint: Endpoint,
        repository: str,
        credential: Credential,
        later: Callable[[Callable[[], None]], None],
        asking: Callable[[], AbstractContextManager[None]],
        reads: str = "",
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._endpoint = endpoint
        self._repository = repository
        self._later = later
        self._asking = asking
        self._reads = reads
        self._actions = PULL if reads else PUSH
        self._credential = credential if credential.present else None
        self._who = Requester(tokens, endpoint, repository, credential, self._actions, NO_RETRIES)
        self._evidence: list[Evidence] = []

    def run(self) -> Preflight:
        """The evidence so far, also where a request in the middle fails."""
        problem, unsafe_realm = "", ""
        try:
            self._ask()
        except UnsafeRealm as error:
            problem, unsafe_realm = error.message, error.realm
        except RegistryAstray as error:
            problem = error.message
            if self._credential is not None:  # an engine would send it there
                self._evidence.append(Evidence(Stage.TOKEN, problem, code=WRONG_ADDRESS, sent=False))
        except RegistryUnreachable as error:
            problem = error.message
        # Made last: every token that the registry may echo in it is known by now, and masked.
        return Preflight((ping_evidence(self._endpoint), *self._evidence), problem, unsafe_realm)

    def _ask(self) -> None:
        challenge = parse_challenge(self._endpoint.ping.header("www-authenticate"))
        if self._endpoint.ping.status == HTTPStatus.OK:
            first = self._upload("", sent=False)
            if first.status not in REFUSED or self._credential is None:
                return
            challenge = parse_challenge(first.header("www-authenticate"))
        if self._credential is not None and self._credential.kind is CredentialKind.REGISTRY_TOKEN:
            self._upload(f"Bearer {self._credential.secret.reveal()}", sent=True)
        elif challenge.scheme == "bearer":
            self._ask_with_token(challenge)
        else:
            self._ask_with_password(challenge)

    def _ask_with_token(self, challenge: Challenge) -> None:
        token = self._token(challenge, self._actions, self._credential, Stage.TOKEN)
        if token.value:
            response = self._upload(f"Bearer {token.value}", sent=self._credential is not None)
            if response.status in REFUSED and token.granted is None and self._credential is not None:
                self._compare_with_anonymous(challenge, token, response)
        elif token.status == HTTPStatus.FORBIDDEN and self._credential is not None:
            # GitLab's token server answers 403 where the right is missing; `docker login` succeeds all the same.
            self._token(challenge, "", self._credential, Stage.LOGIN)

    def _compare_with_anonymous(self, challenge: Challenge, token: Token, refused: Response) -> None:
        """Find out whether the credential of an opaque token, which cannot be read, makes a difference."""
        if "insufficient_scope" in refused.header("www-authenticate"):
            return
        if refused.status == HTTPStatus.UNAUTHORIZED and self._endpoint.ping.status == HTTPStatus.OK:
            return  # /v2/ accepts any token
        anonymous = self._token(challenge, self._actions, None, Stage.TOKEN)
        if not anonymous.value:
            return
        if refused.status == HTTPStatus.FORBIDDEN:
            if self._upload(f"Bearer {anonymous.value}", sent=False).status != HTTPStatus.FORBIDDEN:
                return
        elif self._base(token, sent=True).status == HTTPStatus.OK:
            self._base(anonymous, sent=False)

    def _token(self, challenge: Challenge, actions: str, credential: Credential | None, stage: Stage) -> Token:
        token = self._tokens.token(self._endpoint, challenge, self._repository, actions, credential)
        self._evidence.append(
            Evidence(
                stage,
                token.message or ("a token was given" if token.value else ""),
                status=token.status,
                code=token.code,
                sent=credential is not None,
                granted=token.granted if actions else None,
            )
        )
        return token

    def _base(self, token: Token, *, sent: bool) -> Response:
        """`GET /v2/` with a token, as `docker login` does."""
        response = self._get_base(f"Bearer {token.value}")
        self._note_login(response, Stage.LOGIN, sent=sent)
        return response

    def _ask_with_password(self, challenge: Challenge) -> None:
        credential, is_open = self._credential, self._endpoint.ping.status == HTTPStatus.OK
        # An open registry may refuse a push without a challenge; our password is tried all the same.
        asked = challenge.scheme == "basic" or is_open
        if not asked or credential is None or credential.kind is not CredentialKind.BASIC:
            if not is_open:
                self._upload("", sent=False)
            return
        authorization = basic(credential)
        response = self._get_base(authorization)
        if not (is_open and response.status == HTTPStatus.OK):  # an open /v2/ proves nothing
            self._note_login(response, Stage.TOKEN, sent=True)
        if response.status != HTTPStatus.UNAUTHORIZED:
            self._upload(authorization, sent=True)

    def _get_base(self, authorization: str) -> Response:
        return self._send("GET", f"{self._endpoint.base}/v2/", {"Authorization": authorization})

    def _note_login(self, response: Response, stage: Stage, *, sent: bool) -> None:
        said = evidence(stage, response, sent=sent)
        who = "the credential" if sent else "nobody's token"
        self._evidence.append(said._replace(message=said.message or f"GET {self._endpoint.base}/v2/ with {who}"))

    def _upload(self, authorization: str, *, sent: bool) -> Response:
        """Start an upload as a push would, or read the manifest; a started upload is cancelled later."""
        headers = {"Authorization": authorization} if authorization else {}
        if self._reads:
            response = self._send("GET", self._who.url(f"manifests/{self._reads}"), {**headers, "Accept": ACCEPT})
            self._evidence.append(evidence(Stage.PROBE, response, sent=sent))
            return response
        with self._asking():
            response = self._send("POST", self._who.url(UPLOADS), headers, b"")
            location = response.header("location")
            upload = UploadSession(self._transport, self._who, self._who.url(UPLOADS), location, headers)
            if response.status == HTTPStatus.ACCEPTED:
                self._later(upload.cancel)
        self._evidence.append(evidence(Stage.PROBE, response, sent=sent))
        if response.status == HTTPStatus.ACCEPTED and (trouble := upload.trouble()):
            self._evidence.append(Evidence(Stage.PROBE, trouble, code=WRONG_ADDRESS, sent=sent))
        return response

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Response:
        """Send a request; one with a body follows redirects within the origin, as a push does."""
        response = self._transport.send(
            method, url, verify=self._endpoint.verify, headers=headers, body=body, follow=body is not None
        )
        return of_registry(self._endpoint, method, response)


def ping_evidence(endpoint: Endpoint) -> Evidence:
    challenge = str(parse_challenge(endpoint.ping.header("www-authenticate")))
    return Evidence(
        Stage.PING,
        f"GET {endpoint.base}/v2/ without a credential",
        status=endpoint.ping.status,
        challenge=challenge,
        sent=False,
    )
