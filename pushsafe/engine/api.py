"""The engine's API through docker-py: information, images, and the push."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import docker
import docker.auth
import docker.utils.config
import requests
from docker.errors import DockerException
from docker.tls import TLSConfig

from pushsafe.credentials.store import auth_config
from pushsafe.engine import http_stream as stream
from pushsafe.engine import payloads as answers
from pushsafe.engine.kinds import kind_of
from pushsafe.engine.push_stream import BrokenOff, Garbled, lines, read_push_stream
from pushsafe.model.credentials import Credential, secrets_of
from pushsafe.model.errors import EngineFailed, EngineUnreachable, UsageError
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.facts import DOCKER, EngineInfo, ImageMissing, LocalImage
from pushsafe.model.outcomes import EngineAnswer, EngineRefused, LayerEvent
from pushsafe.model.request import EngineAddress
from pushsafe.model.versions import at_least
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.runtime.proxy import proxy_for
from pushsafe.runtime.redact import clean, remember

TIMEOUT = 60
"""Seconds without a byte in any answer but a push's."""
WHOLE = 300
"""Seconds for a complete answer; a push may go on while the engine reports anything new."""
_PLATFORM_API = "1.46"
"""`platform` of POST /images/NAME/push (moby `docs/api/version-history.md`)."""
_OLDEST_API = "1.24"
"""Given to docker-py, which else asks `GET /version`: that takes engines ten times as long as `/_ping`."""
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_OURS = ("host", "user-agent", "content-length", "transfer-encoding", "trailer")
"""Headers that docker ignores in HttpHeaders: its client (`addHeaders`) or Go (`net/http`) sets them."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NO_ACCESS = os.strerror(errno.EACCES).lower()
_ACCESS_HINT = "sudo usermod -aG docker $USER   (then log in again; docs.docker.com/engine/install/linux-postinstall)"
_DOCKERS_VERSION = re.compile(r"$|[01]\.|1[7-9]\.|[2-9]\d|\d{3}|\D")
"""Versions of docker's engine: 17.03 followed 1.13. Most other products that serve its API have their own numbers."""
_API_VERSION = re.compile(r"\d+\.\d+")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def _no_config_file(_config_path: object = None) -> None:
    """Keep docker-py from reading config.json: it fails on files that docker accepts."""


docker.utils.config.find_config_file = _no_config_file  # type: ignore[assignment]


class _Client(docker.APIClient):
    """docker-py's client, which takes only the proxies from its environment, as docker does.

    requests would prefer REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE to the engine's own CA, and send ~/.netrc's passwords.
    """

    def __init__(self, address: EngineAddress, headers: Mapping[str, str]) -> None:
        super().__init__(
            base_url=address.host, version=_OLDEST_API, timeout=TIMEOUT, tls=_tls(address), max_pool_size=16
        )
        self.trust_env = False
        proxy = "" if address.is_local else proxy_for(self.base_url, os.environ)
        self.proxies = {self.base_url.partition(":")[0]: proxy} if proxy else {}
        self.headers["Accept-Encoding"] = "identity"  # a compressed answer may expand without limit
        self.headers.update(_sendable(headers))

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' own signature
        """None: like docker's client, follow no redirect, so that X-Registry-Auth stays with the engine."""
        return None


class _Reply(NamedTuple):
    """A whole answer, or the beginning of a refusal."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return bool(self.status == requests.codes.ok)


class Engine:
    """An engine. Thread-safe. Methods raise EngineUnreachable without an answer, EngineFailed for an invalid one.

    `headers` are the HttpHeaders of docker's configuration, sent with every request. A push fails after `silence`
    seconds without news (`None`: never).
    """

    def __init__(
        self, address: EngineAddress, *, headers: Mapping[str, str] = _NO_HEADERS, silence: float | None = None
    ) -> None:
        """Connect. Raises UsageError also, for invalid headers."""
        self._address = address
        self._silence = silence
        self._listing = threading.Lock()
        self._names: answers.Names | None = None
        try:
            self._client = _Client(address, headers)
            self.api_version = self._negotiate()
        except (DockerException, OSError, ValueError) as error:  # of an invalid address, too
            raise self._unreachable(error) from error
        self._url = f"{self._client.base_url}/v{self.api_version}"

    def _negotiate(self) -> str:
        """The engine's API version, asked for as docker does (`GET /_ping`, header `Api-Version`)."""
        reply = self._send("GET", f"{self._client.base_url}/_ping", "/_ping")
        if reply.status >= requests.codes.bad_request:
            said = clean(answers.message(reply.text), limit=300)
            raise EngineFailed(f"what answers at {self._where} answers {reply.status} to GET /_ping: {said}")
        version = reply.headers.get("Api-Version", "")
        if not _API_VERSION.fullmatch(version):
            raise EngineFailed(f"what answers at {self._where} is no docker engine: it names no API version")
        return version

    def close(self) -> None:
        self._client.close()

    def info(self) -> EngineInfo:
        """The engine's own description (`GET /info`)."""
        with _understood("/info"):
            answer = self._json("/info", self._get("/info", {}))
            status = {str(row[0]): row[1] for row in answer.get("DriverStatus") or () if len(row) > 1}
            version = answers.shown(answer.get("ServerVersion"))
            product = DOCKER if _DOCKERS_VERSION.match(version) else self._product()
            return EngineInfo(
                version=version,
                api_version=self.api_version,
                kind=kind_of(answers.shown(status.get("driver-type")), product),
                platform=Platform(
                    answers.shown(answer.get("OSType")) or "linux",
                    answers.architecture(answers.shown(answer.get("Architecture"))),
                ),
                insecure_registries=answers.insecure_registries(answer.get("RegistryConfig") or {}),
                product=product,
                push_takes_platform=at_least(self.api_version, _PLATFORM_API),
            )

    def _product(self) -> str:
        """The product name of an engine that is not docker's (`GET /version`); docker if it names none."""
        reply = self._get("/version", {})
        with _understood("/version"):
            return (answers.product(self._json("/version", reply)) if reply.ok else "") or DOCKER

    def image(self, reference: Reference, *, near: bool = True) -> LocalImage | ImageMissing:
        """The image that a push of this reference would send, or, with `near`, similar names.

        Finding those takes seconds in an engine with thousands of images.
        """
        path = f"/images/{reference}/json"
        # Engines older than API 1.48, and the classic store, ignore the parameter.
        reply = self._get(path, {"manifests": "1"})
        if reply.status == requests.codes.not_found:
            return ImageMissing(self._all_names().near(reference) if near else ())
        with _understood(path):
            return answers.image(self._json(path, reply))

    def tags(self, name: str) -> tuple[str, ...]:
        """The engine's tags of a repository, sorted."""
        # The filter is a glob, which is matched with familiar names (moby `daemon/images/images.go`).
        familiar = answers.familiar(name)
        filters = {"reference": [re.sub(r"([][*?\\])", r"\\\1", familiar)]}
        listed = (tag.rpartition(":") for tag in self._listed({"filters": json.dumps(filters)}))
        return tuple(sorted({tag for path, _, tag in listed if path in (name, familiar) and _TAG.fullmatch(tag)}))

    def tag(self, image: str, name: Reference) -> None:
        """Add a name to the image of this ID (`POST /images/ID/tag`)."""
        self._do("POST", f"/images/{image}/tag", {"repo": name.name, "tag": name.tag})

    def untag(self, name: Reference) -> None:
        """Remove a name of an image (`DELETE /images/NAME`)."""
        self._do("DELETE", f"/images/{name}", {"noprune": "1"})

    def load(self, archive: bytes) -> None:
        """Load the images of a `docker save` archive (`POST /images/load`)."""
        if said := answers.refusal(self._do("POST", "/images/load", {"quiet": "1"}, archive)):
            raise EngineFailed(f"the engine does not load the image: {clean(said)}")

    def _all_names(self) -> answers.Names:
        """The names of all images, requested once."""
        with self._listing:
            if self._names is None:
                self._names = answers.Names(map(answers.shown, self._listed({})))
            return self._names

    def _listed(self, params: Mapping[str, str]) -> tuple[str, ...]:
        """The names of images, as `name:tag`."""
        with _understood("/images/json"):
            return answers.names(self._json("/images/json", self._get("/images/json", params)))

    def push(
        self,
        reference: Reference,
        credential: Credential,
        platform: Platform | None,
        on_layer: Callable[[LayerEvent], None],
    ) -> EngineAnswer:
        """Push a tag (API `POST /images/NAME/push`); `on_layer` gets every change of a layer's state.

        docker-py's own `push()` has no `platform`, and gives up after a silent minute.
        """
        remember(secrets_of(credential))
        params = {"tag": reference.tag}
        if platform:
            params["platform"] = json.dumps(answers.oci_platform(platform))
        try:
            with self._client.post(
                f"{self._url}/images/{reference.name}/push",
                params=params,
                headers={**self._authorized(credential), "Content-Type": "application/json"},
                stream=True,
                timeout=(TIMEOUT, self._silence),
            ) as response:
                if response.status_code != requests.codes.ok:
                    return self._refused_push(reference, response.status_code, stream.beginning(response, WHOLE))
                return self._read_push(reference, response, on_layer)
        except stream.OutOfBounds as error:
            raise EngineFailed(f"the engine's answer to the push of {reference} {error}") from error
        except stream.ERRORS as error:
            raise self._cut_off(reference, error) from error

    def _refused_push(self, reference: Reference, status: int, said: str) -> EngineRefused:
        """The refusal to start a push. Raises EngineFailed where no engine has answered."""
        if not answers.is_message(said):
            said = clean(said, limit=300)
            raise EngineFailed(f"what answers at {self._where} answers {status} to the push of {reference}: {said}")
        return EngineRefused(Evidence(Stage.PUSH, clean(answers.message(said))))

    def _read_push(
        self, reference: Reference, response: requests.Response, on_layer: Callable[[LayerEvent], None]
    ) -> EngineAnswer:
        listening = stream.Listening(self._silence)
        said = listening.through(lines(stream.parts(response)))
        try:
            return read_push_stream(reference, said, on_layer, new=listening.new)
        except Garbled as error:
            what = f"what answers at {self._where} to the push of {reference}"
            raise EngineFailed(f"{what} is not a docker engine: it says {error}") from error
        except BrokenOff as error:
            message = f"the engine at {self._where} broke off the push of {reference}: its last line is incomplete"
            raise EngineUnreachable(message, _start_hint(self._address)) from error

    def _cut_off(self, reference: Reference, error: BaseException) -> EngineUnreachable:
        """The error for a push whose answer is missing or breaks off."""
        if isinstance(error, requests.ConnectionError):
            return self._unreachable(error)
        if not stream.is_silence(error) or self._silence is None:
            message = f"the engine at {self._where} broke off the push of {reference}: {self._cause(error)}"
            return EngineUnreachable(message, _start_hint(self._address))
        return EngineUnreachable(
            f"no word from the engine at {self._where} for {_span(self._silence)} in the push of {reference}: "
            "it is waiting for the registry, or hangs",
            "run it again with --timeout 1h, which is then the only limit",
        )

    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence:
        """The registry's manifest under a tag, requested by the engine (`GET /distribution/NAME/json`)."""
        path = f"/distribution/{reference}/json"
        reply = self._send("GET", f"{self._url}{path}", path, headers=self._authorized(credential))
        if not reply.ok:
            said = clean(answers.message(reply.text))
            return Evidence(Stage.VERIFY, said, status=reply.status, sent=credential.present)
        with _understood(path):
            found = answers.manifest(self._json(path, reply))
        return found or Evidence(Stage.VERIFY, "the engine names no digest", status=reply.status)

    def check_login(self, credential: Credential) -> Evidence:
        """Whether the registry accepts a credential, checked by the engine (`POST /auth`)."""
        remember(secrets_of(credential))
        body, json_type = json.dumps(auth_config(credential)).encode(), {"Content-Type": "application/json"}
        reply = self._send("POST", f"{self._url}/auth", "/auth", headers=json_type, body=body)
        # The answer to a successful login may hold a token, which must not be shown.
        message = "login succeeded" if reply.ok else clean(answers.message(reply.text))
        return Evidence(Stage.ENGINE_AUTH, message, status=reply.status, sent=True)

    def _authorized(self, credential: Credential) -> dict[str, str]:
        remember(secrets_of(credential))
        return {"X-Registry-Auth": docker.auth.encode_header(auth_config(credential)).decode()}

    def _get(self, path: str, params: Mapping[str, str]) -> _Reply:
        return self._send("GET", f"{self._url}{path}", path, params)

    def _do(self, method: str, path: str, params: Mapping[str, str], body: bytes | None = None) -> str:
        """Send a command. Raises EngineFailed for an error status."""
        reply = self._send(method, f"{self._url}{path}", path, params, body=body)
        if reply.status >= requests.codes.bad_request:
            said = clean(answers.message(reply.text))
            raise EngineFailed(f"the engine answers {reply.status} to {method} {path}: {said}")
        return reply.text

    def _send(
        self,
        method: str,
        url: str,
        path: str,
        params: Mapping[str, str] = _NO_HEADERS,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes | None = None,
    ) -> _Reply:
        """Send a request and read its answer; `path` is its name in messages."""
        try:
            with self._client.request(
                method, url, params=dict(params), headers=dict(headers), data=body, stream=True, timeout=TIMEOUT
            ) as response:
                read = stream.whole if response.ok else stream.beginning
                return _Reply(response.status_code, read(response, WHOLE), response.headers)
        except stream.OutOfBounds as error:
            raise EngineFailed(f"the engine's answer to {method} {path} {error}") from error
        except stream.ERRORS as error:
            raise self._unreachable(error) from error

    def _json(self, path: str, reply: _Reply) -> Any:
        if not reply.ok:
            said = clean(answers.message(reply.text))
            raise EngineFailed(f"the engine answers {reply.status} to GET {path}: {said}")
        try:
            return answers.read(reply.text)
        except (ValueError, RecursionError) as error:
            raise EngineFailed(f"the engine answers GET {path} with what is not JSON") from error

    @property
    def _where(self) -> str:
        return f"{self._address.host} ({self._address.origin})"

    def _cause(self, error: BaseException) -> str:
        return stream.cause(error, TIMEOUT)

    def _unreachable(self, error: BaseException) -> EngineUnreachable:
        cause = self._cause(error)
        hint = _ACCESS_HINT if cause == _NO_ACCESS else _start_hint(self._address)
        return EngineUnreachable(f"no engine answers at {self._where}: {cause}", hint)


@contextmanager
def _understood(path: str) -> Iterator[None]:
    """Raise EngineFailed for wrong types in the answer to `GET path`."""
    try:
        yield
    except (AttributeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise EngineFailed(f"the engine answers GET {path} with what no docker engine answers") from error


def _sendable(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The headers as docker sends them, without those that it sets itself."""
    kept = {name: value.strip(" \t") for name, value in headers.items() if name.lower() not in _OURS}
    sent = {name: value.encode("utf-8", "surrogateescape") for name, value in kept.items()}
    for name, value in sent.items():
        if not _HEADER_NAME.fullmatch(name) or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise UsageError(
                f"docker's configuration has an HTTP header that cannot be sent: {clean(name, limit=100)!r}",
                "fix it in HttpHeaders of config.json, or in DOCKER_CUSTOM_HEADERS: a name, and a value of one line",
            )
    return sent


def _tls(address: EngineAddress) -> TLSConfig | bool:
    if not address.tls:
        return False
    if not address.tls_verify:
        # It is the user's choice; urllib3 would warn on stderr at every request.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    client_cert = (address.cert_file, address.key_file) if address.cert_file and address.key_file else None
    ca_cert = address.ca_file if address.tls_verify else None
    return TLSConfig(client_cert=client_cert, ca_cert=ca_cert, verify=address.tls_verify)


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes > 1 else f"{seconds:g} seconds"


def _start_hint(address: EngineAddress) -> str:
    if address.context:
        return f"docker context inspect {address.context}"
    if address.host == "unix:///var/run/docker.sock":
        return "sudo systemctl start docker   (or start Docker Desktop; docker context ls shows other engines)"
    return f"check that the engine runs and {address.origin} is right: docker -H {address.host} version"
