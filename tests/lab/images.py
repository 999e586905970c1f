"""Images for the tests, made without a network: single-platform ones by hand, indexes by the engine's own builder."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from . import engine_api
from .locks import locked
from .model import LabEngine, LabError
from .newer import newer_docker_cli, tool
from .paths import run_directory


def load_image(
    engine: LabEngine,
    reference: str,
    *,
    layers: Sequence[bytes],
    platform: str = "linux/amd64",
    labels: Mapping[str, str] | None = None,
) -> None:
    """`docker load` an image whose n-th layer is one file with the n-th content; the same input, the same image."""
    engine_api.load(engine.socket, docker_archive(reference, layers, platform, labels or {}))


def docker_archive(reference: str, layers: Sequence[bytes], platform: str, labels: Mapping[str, str]) -> bytes:
    """What `docker save` of older engines writes, and every engine loads."""
    buffer = io.BytesIO()
    write_docker_archive(buffer, reference, layers, platform, labels)
    return buffer.getvalue()


def write_docker_archive(
    file: BinaryIO, reference: str, layers: Iterable[bytes], platform: str, labels: Mapping[str, str]
) -> None:
    """The same, one layer after the other, for what is large."""
    diff_ids, names = [], []
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number, content in enumerate(layers):
            tar = _tar({f"layer-{number}": content})
            diff_ids.append(_digest(tar))
            names.append(f"{number}/layer.tar")
            _add(archive, names[-1], tar)
        encoded = _config(diff_ids, platform, labels)
        config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
        _add(archive, config_name, encoded)
        manifest = json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": names}])
        _add(archive, "manifest.json", manifest.encode())


def oci_layout(
    directory: Path, tag: str, layers: Iterable[bytes], platform: str = "linux/amd64", level: int = 9
) -> None:
    """Write an OCI image layout with one image of that tag, its layers compressed, as skopeo and oras read it.

    `level` is gzip's. Specification: opencontainers/image-spec image-layout.md.
    """
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(kind: str, content: bytes) -> Mapping[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    diff_ids, kept = [], []
    for number, content in enumerate(layers):
        tar = _tar({f"layer-{number}": content})
        diff_ids.append(_digest(tar))
        kept.append(keep("layer.v1.tar+gzip", gzip.compress(tar, level, mtime=0)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": keep("config.v1+json", _config(diff_ids, platform, {})),
        "layers": kept,
    }
    named = {
        **keep("manifest.v1+json", json.dumps(manifest).encode()),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def build_index(
    engine: LabEngine,
    reference: str,
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    *,
    content: bytes = b"",
    attestation: bool = False,
) -> None:
    """Build an image index in a containerd engine: `FROM scratch` and one file, different for each platform.

    With `attestation` the index also holds what buildx adds by default: an `unknown/unknown` manifest for each.
    """
    if engine.store != "containerd":
        raise LabError(f"{engine.name} has the classic store, which holds no index")
    with tempfile.TemporaryDirectory(prefix="pushsafe-lab-") as context:
        dockerfile = "FROM scratch\nARG TARGETARCH\nARG TARGETVARIANT\nCOPY f.$TARGETARCH$TARGETVARIANT /f\n"
        Path(context, "Dockerfile").write_text(dockerfile)
        for platform in platforms:
            _, *rest = platform.split("/")
            Path(context, "f." + "".join(rest)).write_bytes(platform.encode() + b"\n" + content)
        wanted = ("--platform", ",".join(platforms), f"--provenance={str(attestation).lower()}")
        _docker(engine, "buildx", "build", "--quiet", *wanted, "--tag", reference, context)


def drop_platform(engine: LabEngine, reference: str, platform: str) -> None:
    """Make an index incomplete: its manifest still names the platform, the content is gone."""
    _docker(engine, "image", "rm", "--force", "--platform", platform, reference)


def newer_docker_config() -> Path:
    """A DOCKER_CONFIG directory without credentials in which the newer client finds its buildx."""
    directory = run_directory() / "docker-config"
    link = directory / "cli-plugins" / "docker-buildx"
    buildx = tool("docker-buildx")
    if buildx is None:
        raise LabError("docker-buildx is not cached yet: python -m tests.lab install")
    with locked(run_directory() / "docker-config.lock"):
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != buildx:
            link.unlink(missing_ok=True)
            link.symlink_to(buildx)
    return directory


def _docker(engine: LabEngine, *arguments: str) -> None:
    done = subprocess.run(
        (newer_docker_cli(), "--host", engine.host, *arguments),
        env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(newer_docker_config())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")


def _config(diff_ids: Sequence[str], platform: str, labels: Mapping[str, str]) -> bytes:
    system, architecture, *variant = platform.split("/")
    config = {
        "architecture": architecture,
        "os": system,
        **({"variant": variant[0]} if variant else {}),
        "created": "2024-01-01T00:00:00Z",
        "config": {"Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "tests/lab"} for _ in diff_ids],
    }
    return json.dumps(config, sort_keys=True).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            _add(tar, name, content)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
