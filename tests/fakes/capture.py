"""A scripted docker engine on a unix socket: it answers what a push asks for and records every request."""

from __future__ import annotations

import copy
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.fakes.serving import Drop, Json, PushScript, RecordedRequest, Refusal, Server, Stream

__all__ = ["Drop", "FakeEngine", "FakeImage", "PushScript", "RecordedRequest", "Refusal", "familiar"]

Store = Literal["classic", "containerd"]


@dataclass(frozen=True)
class FakeImage:
    """An image of the fake store; `inspect` and `listed` replace or add fields of the two answers."""

    id: str = "sha256:" + "a" * 64
    digest: str = "sha256:" + "d" * 64
    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    size: int = 1234
    repo_digests: tuple[str, ...] = ()
    inspect: Json = field(default_factory=dict)
    listed: Json = field(default_factory=dict)


class FakeEngine:
    """The engine, started by `with`. Names may be familiar (`acme/app:1`) or full (`docker.io/acme/app:1`).

    `images`: names, or names with what they are. `push`: answer per name with tag; without one, a plausible
    stream of the chosen store. `distribution`: answer of `GET /distribution/NAME/json` per name (without one, what
    was pushed with such a plausible stream is there, and all else is not). `auth`: answer of `POST /auth`. `load`:
    answer of `POST /images/load`, after which there is no image more than before.
    `errors`: `"METHOD /path"` without API version, refused before anything else.

    A request that nothing here expects is answered 500 and makes `check()` fail, which leaving `with` calls.
    """

    def __init__(
        self,
        images: Iterable[str] | Mapping[str, FakeImage] = (),
        store: Store = "classic",
        push: Mapping[str, PushScript] | None = None,
        *,
        distribution: Mapping[str, Json | Refusal] | None = None,
        auth: Json | Refusal | None = None,
        errors: Mapping[str, Refusal] | None = None,
        load: Sequence[Json] = ({"stream": "Loaded image\n"},),
        insecure_registries: Sequence[str] = ("127.0.0.0/8",),
        info: Json | None = None,
        version: str = "28.5.2",
        api_version: str = "1.51",
        os: str = "linux",
        architecture: str = "amd64",
    ) -> None:
        named = images if isinstance(images, Mapping) else {name: FakeImage() for name in images}
        self.images = {familiar(name): image for name, image in named.items()}
        self.store: Store = store
        self.push = {familiar(name): script for name, script in (push or {}).items()}
        self.distribution = {familiar(name): answer for name, answer in (distribution or {}).items()}
        self.auth: Json | Refusal = auth or {"Status": "Login Succeeded", "IdentityToken": ""}
        self.errors = dict(errors or {})
        self.load = load
        self.version, self.api_version = version, api_version
        self.os, self.architecture = os, architecture
        self._insecure = tuple(insecure_registries)
        self._info = dict(info or {})
        self._requests: list[RecordedRequest] = []
        self._faults: list[str] = []
        self._arrived: dict[str, FakeImage] = {}
        self._lock = threading.Lock()
        self._directory: Path | None = None
        self._server: Server | None = None

    # ------------------------------------------------------------------- life

    def __enter__(self) -> Self:
        # Not pytest's tmp_path: the path of a unix socket holds 107 bytes.
        # Not in a test's own folder: the path of a socket has at most 107 bytes.
        self._directory = Path(tempfile.mkdtemp(prefix="fake-engine-", dir="/tmp"))
        self._server = Server(self._directory / "engine.sock", self)
        serve = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        serve.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._directory is not None
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._directory, ignore_errors=True)
        if kind is None:
            self.check()

    @property
    def host(self) -> str:
        """The address for `DOCKER_HOST`."""
        assert self._directory is not None, "the engine is not started: use `with`"
        return f"unix://{self._directory / 'engine.sock'}"

    # ---------------------------------------------------------------- records

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def pushes(self) -> list[RecordedRequest]:
        """The pushes among the requests."""
        return [one for one in self.requests if one.method == "POST" and one.path.endswith("/push")]

    def pushed(self) -> list[str]:
        """What was asked to be pushed, as `name:tag` in docker's familiar form, in the order of arrival."""
        return [f"{_between(one.path, '/images/', '/push')}:{one.query.get('tag', '')}" for one in self.pushes]

    def check(self) -> None:
        """Raises AssertionError if anything came that this engine was not scripted for."""
        surprises = [f"{one.method} {one.path} {dict(one.query)}" for one in self.requests if not one.expected]
        assert not surprises, f"the fake engine did not expect: {'; '.join(surprises)}"
        assert not self._faults, f"the fake engine failed: {'; '.join(self._faults)}"

    def record(self, request: RecordedRequest) -> None:
        with self._lock:
            self._requests.append(request)

    def fault(self, what: str) -> None:
        with self._lock:
            self._faults.append(what)

    # ---------------------------------------------------------------- answers

    def answer(self, method: str, path: str, query: Mapping[str, str]) -> Any:
        """What to answer: a JSON value, a Refusal, a `Stream`; `NotImplemented` for the unexpected."""
        if refusal := self.errors.get(f"{method} {path}"):
            return refusal
        match method, path:
            case (("GET" | "HEAD"), "/_ping"):
                return "OK"
            case "GET", "/version":
                return self._version_answer()
            case "GET", "/info":
                return self._info_answer()
            case "POST", "/auth":
                return copy.deepcopy(self.auth)
            case "GET", "/images/json":
                return self._list_images(query)
            case "POST", "/images/load":
                return Stream(self.load)
        if method == "GET" and (name := _between(path, "/images/", "/json")):
            return self._inspect(name)
        if method == "GET" and (name := _between(path, "/distribution/", "/json")):
            return self._distribution(name)
        if method == "POST" and _between(path, "/images/", "/tag"):
            return {}
        if method == "DELETE" and path.startswith("/images/"):
            return []
        if method == "POST" and (name := _between(path, "/images/", "/push")):
            script = self._push_script(name, query.get("tag", ""))
            return script if isinstance(script, Refusal) else Stream(script)
        return NotImplemented

    def _version_answer(self) -> Json:
        return {
            "Version": self.version,
            "ApiVersion": self.api_version,
            "MinAPIVersion": "1.24",
            "Os": self.os,
            "Arch": self.architecture,
            "KernelVersion": "6.1.0",
            "GoVersion": "go1.24.9",
            "GitCommit": "fake",
            "Platform": {"Name": "fake"},
            "Components": [{"Name": "Engine", "Version": self.version, "Details": {"ApiVersion": self.api_version}}],
        }

    def _info_answer(self) -> Json:
        """As `docker info` of 28.5 words the two stores."""
        containerd = self.store == "containerd"
        status = [["driver-type", "io.containerd.snapshotter.v1"]] if containerd else [["Backing Filesystem", "extfs"]]
        return {
            "ID": "fake",
            "ServerVersion": self.version,
            "OSType": self.os,
            "Architecture": {"amd64": "x86_64", "arm64": "aarch64"}.get(self.architecture, self.architecture),
            "Driver": "overlayfs" if containerd else "overlay2",
            "DriverStatus": status,
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": {
                "InsecureRegistryCIDRs": [one for one in self._insecure if "/" in one],
                "IndexConfigs": {
                    "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True},
                    **{
                        one: {"Name": one, "Mirrors": [], "Secure": False, "Official": False}
                        for one in self._insecure
                        if "/" not in one
                    },
                },
                "Mirrors": [],
            },
            **self._info,
        }

    def _find(self, name: str) -> FakeImage | None:
        known = self.images.get(familiar(name)) or self.images.get(f"{familiar(name)}:latest")
        if known is not None:
            return known
        wanted = name.removeprefix("sha256:")
        of_id = (one for one in self.images.values() if one.id.removeprefix("sha256:").startswith(wanted))
        return next(of_id, None) if re.fullmatch("[0-9a-f]{12,64}", wanted) else None

    def _tags(self, image: FakeImage) -> list[str]:
        return [name for name, one in self.images.items() if one.id == image.id]

    def _inspect(self, name: str) -> Json | Refusal:
        image = self._find(name)
        if image is None:
            return Refusal(404, f"No such image: {name}")
        return {
            "Id": image.id,
            "RepoTags": self._tags(image),
            "RepoDigests": list(image.repo_digests),
            "Os": image.os,
            "Architecture": image.architecture,
            **({"Variant": image.variant} if image.variant else {}),
            "Size": image.size,
            "Config": {"Labels": {}},
            "RootFS": {"Type": "layers", "Layers": ["sha256:" + "1" * 64]},
            **image.inspect,
        }

    def _list_images(self, query: Mapping[str, str]) -> list[Json]:
        """All images; of the filters, `reference` with one or more exact names or repositories."""
        wanted = json.loads(query.get("filters") or "{}").get("reference")
        seen: dict[str, Json] = {}
        for name, image in self.images.items():
            if wanted and not any(name == familiar(one) or name.rpartition(":")[0] == familiar(one) for one in wanted):
                continue
            seen[image.id] = {
                "Id": image.id,
                "RepoTags": self._tags(image),
                "RepoDigests": list(image.repo_digests),
                "Created": 0,
                "Size": image.size,
                "Labels": {},
                **image.listed,
            }
        return list(seen.values())

    def _distribution(self, name: str) -> Json | Refusal:
        if scripted := self.distribution.get(familiar(name)):
            return scripted
        image = self._arrived.get(familiar(name))
        if image is None:
            return Refusal(404, f"manifest unknown: {name}")
        media_type = "application/vnd.docker.distribution.manifest.v2+json"
        platform = {"os": image.os, "architecture": image.architecture}
        descriptor = {"mediaType": media_type, "digest": image.digest, "size": image.size}
        return {"Descriptor": descriptor, "Platforms": [platform]}

    def _push_script(self, name: str, tag: str) -> PushScript:
        """The script for `name:tag`, or what a good engine of this store says (28.5)."""
        scripted = self.push.get(f"{familiar(name)}:{tag}")
        if scripted is not None:
            return scripted
        head: Json = {"status": f"The push refers to repository [{_full(name)}]"}
        image = self.images.get(f"{familiar(name)}:{tag}")
        if image is None:
            words = f"An image does not exist locally with the tag: {familiar(name)}"
            if self.store == "containerd":
                return Refusal(404, f"tag does not exist: {familiar(name)}:{tag}")
            return [head, {"errorDetail": {"message": words}, "error": words}]
        layers: list[Json] = [
            {"status": state, "progressDetail": {}, "id": "111111111111"} for state in ("Preparing", "Pushed")
        ]
        last = {"status": f"{tag}: digest: {image.digest} size: {image.size}"}
        self._arrived[f"{familiar(name)}:{tag}"] = image
        if self.store == "containerd":
            return [head, *layers, last]
        aux = {"Tag": tag, "Digest": image.digest, "Size": image.size}
        return [head, *layers, last, {"progressDetail": {}, "aux": aux}]


# ------------------------------------------------------------------------ names


def familiar(name: str) -> str:
    """A name as docker shows it: without `docker.io/` and `library/`."""
    name = name.removeprefix("docker.io/").removeprefix("index.docker.io/")
    return name.removeprefix("library/")


def _full(name: str) -> str:
    first, slash, _ = name.partition("/")
    if slash and (first == "localhost" or set(first) & set(".:")):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _between(path: str, start: str, end: str) -> str:
    """The part between two ends of a path, or nothing if it has not both."""
    if not (path.startswith(start) and path.endswith(end) and len(path) > len(start) + len(end)):
        return ""
    return path[len(start) : -len(end)]
