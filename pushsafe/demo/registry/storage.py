"""What the embedded registry keeps: repositories with their blobs, manifests and tags, and blobs on their way."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pushsafe.demo.registry.http import Refused

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
MEDIA_TYPE = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+")


class Repository:
    """The content of one repository; a manifest's file begins with a line that is its media type."""

    def __init__(self, folder: Path, name: str) -> None:
        if len(name) > 255 or not NAME.fullmatch(name):
            raise Refused(400, "NAME_INVALID")
        self.name = name
        self.folder = folder / name  # no name has a component that begins with an underscore

    def blob(self, digest: str) -> Path:
        return self.folder / "_blobs" / place(digest)

    def manifest(self, digest: str) -> Path:
        return self.folder / "_manifests" / place(digest)

    def tag(self, tag: str) -> Path:
        if not TAG.fullmatch(tag):
            raise Refused(400, "MANIFEST_INVALID", "invalid tag")
        return self.folder / "_tags" / tag

    def digest(self, reference: str) -> str:
        """The digest that a tag names, or the digest itself."""
        if ":" in reference:
            return reference
        with suppress(FileNotFoundError):
            return self.tag(reference).read_text()
        raise Refused(404, "MANIFEST_UNKNOWN")

    def read(self, digest: str) -> tuple[str, bytes]:
        """A manifest's media type and its bytes."""
        try:
            media_type, _, content = self.manifest(digest).read_bytes().partition(b"\n")
        except FileNotFoundError:
            raise Refused(404, "MANIFEST_UNKNOWN") from None
        return media_type.decode(), content

    def tags(self) -> dict[str, str]:
        """Each tag and the digest it names. NAME_UNKNOWN where no manifest was ever put."""
        if not (self.folder / "_manifests").is_dir():
            raise Refused(404, "NAME_UNKNOWN")
        return {file.name: file.read_text() for file in sorted((self.folder / "_tags").glob("*"))}

    def referrers(self, subject: str) -> Iterator[dict[str, Any]]:
        """Descriptors of the manifests whose subject it is."""
        place(subject)
        for file in sorted((self.folder / "_manifests").glob("*/*")):
            digest = f"{file.parent.name}:{file.name}"
            media_type, content = self.read(digest)
            try:
                _, document = parsed(content, media_type)
            except Refused:  # an earlier registry in this folder took it
                continue
            if (document.get("subject") or {}).get("digest") != subject:
                continue
            described = {"mediaType": media_type, "digest": digest, "size": len(content)}
            kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
            annotations = document.get("annotations")
            yield (
                described
                | ({"artifactType": kind} if kind else {})
                | ({"annotations": annotations} if annotations else {})
            )

    def missing(self, document: Mapping[str, Any]) -> list[str]:
        """The digests that a manifest names and that are not there; layers that are fetched elsewhere need not be."""
        layers = [one for one in document.get("layers") or [] if not _is_foreign(one)]
        blobs = [one["digest"] for one in [*filter(None, [document.get("config")]), *layers]]
        children = [one["digest"] for one in document.get("manifests") or []]
        absent = [digest for digest in blobs if not self.blob(digest).exists()]
        # BuildKit's build caches are indexes of blobs.
        return absent + [one for one in children if not (self.manifest(one).exists() or self.blob(one).exists())]


def place(digest: str) -> Path:
    if not DIGEST.fullmatch(digest):
        raise Refused(400, "DIGEST_INVALID", "invalid digest, or one of an unsupported algorithm")
    return Path(*digest.split(":"))


def _is_foreign(layer: Mapping[str, Any]) -> bool:
    return bool(layer.get("urls")) or bool(re.search(r"\.foreign\.|\.nondistributable\.", layer.get("mediaType") or ""))


def parsed(content: bytes, content_type: str) -> tuple[str, dict[str, Any]]:
    """A manifest's media type and the document, in which everything is of the type that the specification gives it."""
    try:
        # Of bytes Python would guess the encoding.
        document = json.loads(content.decode(), parse_constant=_no_json)
    except (ValueError, RecursionError):
        raise Refused(400, "MANIFEST_INVALID", "it is not JSON") from None
    if not _is_manifest(document):
        raise Refused(400, "MANIFEST_INVALID")
    named = document.get("mediaType", "")
    media_type = content_type.partition(";")[0].strip() or named
    if not (MEDIA_TYPE.fullmatch(media_type) and named in ("", media_type)):
        raise Refused(400, "MANIFEST_INVALID", "its media type is none, or not the one that it is sent as")
    return media_type, document


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _is_manifest(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and type(document.get("schemaVersion")) is int
        and document["schemaVersion"] == 2
        and isinstance(document.get("mediaType", ""), str)
        and all(_is_descriptor(document[one]) for one in ("config", "subject") if document.get(one) is not None)
        and all(_is_list(document.get(one), _is_descriptor) for one in ("layers", "manifests"))
        and _is_described(document)
    )


def _is_descriptor(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("digest"), str)
        and DIGEST.fullmatch(found["digest"]) is not None
        and _is_size(found.get("size"))
        and all(_is_text(found.get(one)) for one in ("mediaType", "data"))
        and _is_list(found.get("urls"), _is_text)
        and _is_platform(found.get("platform"))
        and _is_described(found)
    )


def _is_platform(found: Any) -> bool:
    return found is None or (
        isinstance(found, dict)
        and all(_is_text(found.get(one)) for one in ("os", "architecture", "variant", "os.version"))
        and all(_is_list(found.get(one), _is_text) for one in ("os.features", "features"))
    )


def _is_described(found: Mapping[str, Any]) -> bool:
    annotations = found.get("annotations")
    kept = annotations is None or (isinstance(annotations, dict) and all(map(_is_text, annotations.values())))
    return kept and _is_text(found.get("artifactType"))


def _is_text(found: Any) -> bool:
    return isinstance(found, str | None)


def _is_size(found: Any) -> bool:
    return found is None or (type(found) is int and found >= 0)


def _is_list(found: Any, of: Callable[[Any], bool]) -> bool:
    return found is None or (isinstance(found, list) and all(map(of, found)))


@dataclass(frozen=True)
class Upload:
    """A blob on its way to a repository: one request at a time may write to it."""

    repository: str
    file: Path
    writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def headers(self) -> dict[str, str]:
        """Where it goes on, and what is there; a range has no way to say that nothing is."""
        location = f"/v2/{self.repository}/blobs/uploads/{self.file.name}"
        last = max(0, self.file.stat().st_size - 1)
        return {"Location": location, "Range": f"0-{last}", "Docker-Upload-UUID": self.file.name}

    def append(self, body: Iterator[bytes], content_range: str) -> None:
        """Take a chunk, whole or not at all."""
        size = self.file.stat().st_size
        begin, _, end = content_range.partition("-")
        if content_range and not re.fullmatch(r"\d{1,18}-\d{1,18}", content_range):
            raise Refused(400, "BLOB_UPLOAD_INVALID", "Content-Range must be two offsets")
        if content_range and int(begin) != size:
            kept = {name.replace("-", "_"): value for name, value in self.headers.items()}
            raise Refused(416, "BLOB_UPLOAD_INVALID", "the chunk is out of order", **kept)
        with self.file.open("ab") as file:
            try:
                for piece in body:
                    file.write(piece)
                if content_range and file.tell() - size != int(end) - int(begin) + 1:
                    raise Refused(400, "SIZE_INVALID")
            except BaseException:
                file.truncate(size)
                raise
