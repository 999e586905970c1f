"""The stages of a push that a fault may meet, and which request belongs to which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

LAYOUT, CLASSIC, CONTAINERD = "layout", "e28", "e28c"
WAYS: Mapping[str, str] = {
    LAYOUT: "`--from oci:`, no engine",
    CLASSIC: "an engine with the classic image store",
    CONTAINERD: "an engine with the containerd image store",
}


class Deed(Enum):
    """What a request is for: faults fit deeds."""

    ASK = "asks"
    OPEN = "opens an upload"
    CANCEL = "cancels an upload"
    SEND = "sends content"
    NAME = "names a manifest"
    LOOK = "looks whether something is there"
    READ = "reads a manifest"


@dataclass(frozen=True)
class Seen:
    """A request as the front sees it, and what it knows of those before.

    `kind` and `reference` are parts of the path, as the embedded registry takes it apart. `ours`: it comes from this
    program, not from an engine. `posts` are this program's uploads before it, `probe` tells that it is about the first
    of them. `named` are the references that manifests were put under before, in order.
    """

    method: str
    path: str
    kind: str
    reference: str
    ours: bool
    posts: int = 0
    probe: bool = False
    named: tuple[str, ...] = ()

    @property
    def by_tag(self) -> bool:
        return self.kind == "manifests" and ":" not in self.reference


@dataclass(frozen=True)
class Stage:
    """`fits` tells whether a request belongs to it; `ways` are those in which it comes; `repeats`: more than once."""

    name: str
    what: str
    deed: Deed
    fits: Callable[[Seen], bool]
    ways: tuple[str, ...] = tuple(WAYS)
    repeats: bool = True


def _uploads(method: str, seen: Seen) -> bool:
    return seen.kind == "blobs/uploads" and seen.method == method


def _is_probe(seen: Seen) -> bool:
    return _uploads("POST", seen) and seen.ours and seen.posts == 0


def _puts(seen: Seen) -> bool:
    return seen.kind == "manifests" and seen.method == "PUT"


def _leads(seen: Seen) -> bool:
    """The first manifest that is put, and whatever is put under the same reference again."""
    return _puts(seen) and (not seen.named or seen.reference == seen.named[0])


def _looks(seen: Seen) -> bool:
    return seen.by_tag and seen.method in ("GET", "HEAD")


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ping", "`GET /v2/`", Deed.ASK, lambda seen: seen.path == "/v2/"),
        Stage("token", "the token server", Deed.ASK, lambda seen: seen.path == "/token"),
        Stage("probe-post", "the upload that the preflight opens", Deed.OPEN, _is_probe, repeats=False),
        Stage(
            "probe-delete",
            "and cancels",
            Deed.CANCEL,
            lambda seen: _uploads("DELETE", seen) and seen.probe,
            repeats=False,
        ),
        Stage(
            "head-tag",
            "what a tag names before the push",
            Deed.LOOK,
            lambda seen: _looks(seen) and seen.reference not in seen.named,
        ),
        Stage(
            "head-blob",
            "whether a blob is there",
            Deed.LOOK,
            lambda seen: seen.kind == "blobs" and seen.method == "HEAD",
        ),
        Stage("upload-post", "a blob's upload", Deed.OPEN, lambda seen: _uploads("POST", seen) and not _is_probe(seen)),
        Stage("patch", "a blob's content", Deed.SEND, lambda seen: _uploads("PATCH", seen), (CLASSIC,)),
        Stage("put-blob", "a blob's end, or all of it", Deed.SEND, lambda seen: _uploads("PUT", seen)),
        Stage("manifest-put", "the manifest under the first tag", Deed.NAME, _leads),
        Stage(
            "follower-put",
            "the manifest under every other tag",
            Deed.NAME,
            lambda seen: _puts(seen) and not _leads(seen),
        ),
        Stage(
            "manifest-get",
            "the manifest by its digest, to put it under other tags",
            Deed.READ,
            lambda seen: seen.kind == "manifests" and seen.method == "GET" and not seen.by_tag,
            (CLASSIC, CONTAINERD),
        ),
        Stage(
            "read-back",
            "what a tag names after the push",
            Deed.LOOK,
            lambda seen: _looks(seen) and seen.reference in seen.named,
        ),
    )
}
"""By name, in the order in which a push comes to them."""

NONE = Stage("none", "no request at all", Deed.ASK, lambda _seen: False, ())
"""For runs whose registry has no fault."""
