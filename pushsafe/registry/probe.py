"""Asking a registry, question by question, what a push to one repository meets, or who reads there.

Nothing is written there. But Quay makes a repository that does not exist when a token to push to it is asked for by
somebody who may make it (quay/quay `endpoints/v2/v2auth.py`), as it does for every `docker push`.
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
    """One repository's questions: challenge, login, grant, and an upload that is started, to be cancelled `later`; or,
    of who `reads` a manifest, that in the place of an upload. It is started within `asking`.

    A refusal that fits a wrong credential and a missing right alike leads to one or two questions more, which tell
    them apart; none takes more than six requests in all.
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
        """What was learnt, also where an answer stayed away in the middle."""
        problem, unsafe_realm = "", ""
        try:
            self._ask()
        except UnsafeRealm as error:
            problem, unsafe_realm = error.message, error.realm
        except RegistryAstray as error:
            problem = error.message
            if self._credential is not None:  # which an engine would take there
                self._evidence.append(Evidence(Stage.TOKEN, problem, code=WRONG_ADDRESS, sent=False))
        except RegistryUnreachable as error:
            problem = error.message
        # Worded last: by now every token that the registry may echo in it is known, and masked.
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

    # ------------------------------------------------------------------ Bearer

    def _ask_with_token(self, challenge: Challenge) -> None:
        token = self._token(challenge, self._actions, self._credential, Stage.TOKEN)
        if token.value:
            response = self._upload(f"Bearer {token.value}", sent=self._credential is not None)
            if response.status in REFUSED and token.granted is None and self._credential is not None:
                self._compare_with_nobody(challenge, token, response)
        elif token.status == HTTPStatus.FORBIDDEN and self._credential is not None:
            # GitLab's token server answers so to whoever lacks the right; `docker login` succeeds there all the same.
            self._token(challenge, "", self._credential, Stage.LOGIN)

    def _compare_with_nobody(self, challenge: Challenge, token: Token, refused: Response) -> None:
        """An opaque token says nothing of itself: does having the credential make any difference?"""
        if "insufficient_scope" in refused.header("www-authenticate"):
            return
        if refused.status == HTTPStatus.UNAUTHORIZED and self._endpoint.ping.status == HTTPStatus.OK:
            return  # its /v2/ would say yes to everybody
        nobodys = self._token(challenge, self._actions, None, Stage.TOKEN)
        if not nobodys.value:
            return
        if refused.status == HTTPStatus.FORBIDDEN:
            if self._upload(f"Bearer {nobodys.value}", sent=False).status != HTTPStatus.FORBIDDEN:
                return
        elif self._base(token, sent=True).status == HTTPStatus.OK:
            self._base(nobodys, sent=False)

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
        """`GET /v2/` with a token: what `docker login` goes by."""
        response = self._get_base(f"Bearer {token.value}")
        self._note_login(response, Stage.LOGIN, sent=sent)
        return response

    # ------------------------------------------------------------------ Basic, or nothing that we can answer

    def _ask_with_password(self, challenge: Challenge) -> None:
        credential, is_open = self._credential, self._endpoint.ping.status == HTTPStatus.OK
        # A registry that answers everybody may refuse without a challenge; ours is tried all the same.
        asked = challenge.scheme == "basic" or is_open
        if not asked or credential is None or credential.kind is not CredentialKind.BASIC:
            if not is_open:
                self._upload("", sent=False)
            return
        authorization = basic(credential)
        response = self._get_base(authorization)
        if not (is_open and response.status == HTTPStatus.OK):  # else it says so to everybody, whatever the password
            self._note_login(response, Stage.TOKEN, sent=True)
        if response.status != HTTPStatus.UNAUTHORIZED:
            self._upload(authorization, sent=True)

    def _get_base(self, authorization: str) -> Response:
        return self._send("GET", f"{self._endpoint.base}/v2/", {"Authorization": authorization})

    def _note_login(self, response: Response, stage: Stage, *, sent: bool) -> None:
        said = evidence(stage, response, sent=sent)
        who = "the credential" if sent else "nobody's token"
        self._evidence.append(said._replace(message=said.message or f"GET {self._endpoint.base}/v2/ with {who}"))

    # ------------------------------------------------------------------ the upload

    def _upload(self, authorization: str, *, sent: bool) -> Response:
        """Start an upload as a push would; where the registry let us, it is cancelled while the run goes on."""
        headers = {"Authorization": authorization} if authorization else {}
        if self._reads:
            return self._read(headers, sent=sent)
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

    def _read(self, headers: dict[str, str], *, sent: bool) -> Response:
        response = self._send("GET", self._who.url(f"manifests/{self._reads}"), {**headers, "Accept": ACCEPT})
        self._evidence.append(evidence(Stage.PROBE, response, sent=sent))
        return response

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Response:
        """Redirects are followed where there is a body, as by a push, which stays within the origin."""
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
