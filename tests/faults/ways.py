"""The ways to push in a case: an image in a layout, or one that an engine has; always the same image."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests import lab
from tests.fakes.archives import Making
from tests.faults.front import REPOSITORY
from tests.faults.stages import CLASSIC, CONTAINERD, LAYOUT
from tests.lab import LabEngine, LabError, engine_api
from tests.lab.images import docker_archive

ENGINES = {CLASSIC: "classic-new", CONTAINERD: "containerd-new"}
TAGS = ("1.4.2", "1.4", "latest")
LAYERS = (b"the first layer", b"the second layer " * 100)


@dataclass(frozen=True)
class Way:
    """`image` is the digest of the image's config; `words` are the program's, `variables` its environment's."""

    name: str
    image: str
    words: tuple[str, ...] = ()
    engine: LabEngine | None = None
    loaded: str = ""

    @property
    def variables(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.engine.host} if self.engine else {"DOCKER_HOST": "unix:///nowhere"}

    @contextmanager
    def ready(self, host: str) -> Iterator[None]:
        """The image has the names under which it is to be pushed to `host`."""
        if self.engine is None:
            yield
            return
        names = [f"{host}/{REPOSITORY}:{tag}" for tag in TAGS]
        try:
            for tag in TAGS:
                target = f"/images/{self.loaded}/tag?repo={quote(f'{host}/{REPOSITORY}')}&tag={tag}"
                engine_api.request(self.engine.socket, "POST", target)
            yield
        finally:
            for name in names:
                with suppress(LabError, OSError):  # an engine that is gone is told by the run
                    engine_api.request(self.engine.socket, "DELETE", f"/images/{name}?noprune=1")


@contextmanager
def way(name: str, folder: Path) -> Iterator[Way]:
    """A way, its image made in `folder` or loaded into the engine, and taken away again."""
    if name == LAYOUT:
        making = Making()
        image = making.image("linux/amd64", *LAYERS)
        making.tagged(image, TAGS[0]).folder(folder)
        config = json.loads(making.files[f"blobs/{image['digest'].replace(':', '/')}"])["config"]["digest"]
        yield Way(name, config, ("--from", f"oci:{folder}:{TAGS[0]}"))
        return
    engine = lab.up().engines[ENGINES[name]]
    loaded = f"localhost/faults-{uuid.uuid4().hex[:8]}:1"
    archive = docker_archive(loaded, LAYERS, "linux/amd64", {"run": loaded})
    engine_api.load(engine.socket, archive)
    try:
        yield Way(name, _config_of(archive), (), engine, loaded)
    finally:
        with suppress(LabError, OSError):
            engine_api.request(engine.socket, "DELETE", f"/images/{loaded}?force=1")


def _config_of(archive: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        listed = tar.extractfile("manifest.json")
        assert listed is not None
        name = json.load(listed)[0]["Config"]
    return f"sha256:{name.removesuffix('.json')}"
