"""Everything that belongs to an image of a layout: its manifests, their referrers, and companions."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pushsafe.model.errors import UsageError
from pushsafe.oci.content import Companion, Package, Referrer
from pushsafe.oci.manifest import Blob, Descriptor, Manifest, in_levels, is_manifest
from pushsafe.oci.platform import listed
from pushsafe.sources.archive.files import AGAIN, BY_DIGEST, StoredBlob
from pushsafe.sources.archive.layout import INDEX, Layout, check_depth, name_of, path_of

_IN_PARTS = "copy the image into a layout of its own, and name that"
_MOST, _MOST_READ = 1000, 20_000
"""Manifests of one image, and those searched for its referrers."""


def package_of(layout: Layout, root: Descriptor) -> Package:
    """The image with everything that a registry needs for it. Raises UsageError, which names the bad file."""
    tree = _Tree(layout)
    tree.add(root, INDEX)
    around = tuple(_about_it(tree))
    companions = tuple(one for one in around if isinstance(one, Companion))
    told = {one.content.digest: one.subject for one in around if isinstance(one, Referrer)}
    subjects = {one: told.get(one, manifest.subject) for one, manifest in tree.manifests.items()}
    needs = {
        one: {subjects[one], *(child.digest for child in manifest.children)} for one, manifest in tree.manifests.items()
    }
    wanted = _needed_by(root.digest, needs)
    # A companion is pushed by its tag only, unless another manifest needs it.
    needed = wanted.union(*needs.values(), (one for one, subject in subjects.items() if subject))
    alone = {one.content.digest for one in companions} - needed
    in_order = in_levels(needs)
    levels = [[tree.manifests[one].content for one in level if one in wanted] for level in in_order]
    later = [tree.manifests[one].content for level in in_order for one in level if one not in wanted | alone]
    # Those of the image itself, too: the client keeps the list of referrers where the registry keeps none.
    own = (one for level in levels for one in level if subjects[one.digest])
    referrers = (Referrer(one, subjects[one.digest]) for one in (*own, *later))
    put = tuple(map(tuple, filter(None, levels)))
    return Package(put, tuple(tree.contents.values()), tuple(referrers), companions)


def _needed_by(root: str, needs: Mapping[str, Collection[str]]) -> set[str]:
    """A manifest and those that a registry must hold before it."""
    found, waiting = {root}, [root]
    while waiting:
        new = {one for one in needs[waiting.pop()] if one in needs and one not in found}
        found |= new
        waiting += new
    return found


@dataclass
class _Tree:
    """Manifests and the blobs that they name, by digest."""

    layout: Layout
    manifests: dict[str, Manifest] = field(default_factory=dict)
    contents: dict[str, StoredBlob] = field(default_factory=dict)

    def add(self, named: Descriptor, by: str, depth: int = 0) -> None:
        """Add the manifest that a descriptor names, and all below it. Raises UsageError."""
        if named.digest in self.manifests:
            return
        manifest = self.layout.manifest(named, by)
        name = name_of(manifest)
        if manifest.is_index:
            check_depth(self.layout, depth)
            self._require_all(manifest)
        for child in manifest.children:
            self.add(child, name, depth + 1)
        if len(self.manifests) >= _MOST:
            where = self.layout.store.shown(INDEX)
            raise UsageError(f"{where}: it leads to more than {_MOST} manifests of one image", BY_DIGEST)
        self.manifests[named.digest] = manifest
        for one in (manifest.config, *manifest.layers):
            if one is None:
                continue
            blob = Blob(one.digest, one.size, is_layer=one is not manifest.config)
            stretch = self.layout.stretch(one, name)  # also of a known blob: this manifest may say another size
            held = self.contents.get(blob.digest)
            if held is None or (blob.is_layer and not held.blob.is_layer):
                self.contents[blob.digest] = StoredBlob(blob, stretch)

    def _require_all(self, index: Manifest) -> None:
        """Raise UsageError if a child is missing: engines save what they have, and an index that names everything."""
        store = self.layout.store
        missing: list[Descriptor] = []
        there: list[Descriptor] = []
        for child in index.children:
            (there if self.layout.holds(child) else missing).append(child)
        if not missing:
            return
        named = next((child for child in missing if child.platform), missing[0])
        meant = f" for {listed([named.platform])}" if named.platform else ""
        platforms = ",".join(dict.fromkeys(child.platform.written for child in there if child.platform))
        raise UsageError(
            f"{store.shown(path_of(named.digest))}: it is not there, and {name_of(index)} names it{meant}",
            f"what is there can be pushed alone, by --platform: {platforms}" if platforms else AGAIN,
        )


def _about_it(tree: _Tree) -> Iterator[Referrer | Companion]:
    """Everything that refers to the manifests, directly or not, each after its subject."""
    of_subject: dict[str, list[tuple[Descriptor, str, str]]] = {}
    for named, by, subject in _subjects(tree.layout):
        of_subject.setdefault(subject, []).append((named, by, ""))
    for named, subject, tag in companions_of(tree.layout):
        if tag:
            of_subject.setdefault(subject, []).append((named, INDEX, tag))
    waiting = deque(tree.manifests)
    seen = set(waiting)
    while waiting:
        subject = waiting.popleft()
        for named, by, tag in of_subject.get(subject, ()):
            if named.digest in seen and not tag:
                continue
            tree.add(named, by)
            # An index brings the manifests that it names.
            new = [digest for digest in tree.manifests if digest not in seen]
            seen.update(new)
            waiting.extend(new)
            content = tree.manifests[named.digest].content
            yield Companion(content, subject, tag) if tag else Referrer(content, subject)


def about(layout: Layout, subjects: Collection[str]) -> set[str]:
    """The digests of everything that refers to any of these. Raises UsageError."""
    refers = ((named, subject) for named, _, subject in _subjects(layout))
    tagged = ((named, subject) for named, subject, _ in companions_of(layout))
    return {named.digest for named, subject in (*refers, *tagged) if subject in subjects}


def _subjects(layout: Layout) -> Iterator[tuple[Descriptor, str, str]]:
    """Every manifest of the layout that has a subject, the name of its parent, and the subject's digest.

    A missing manifest belongs to another image, of which only a part may be here, and is skipped. Only what a fallback
    index names must be there. Fallback indexes come first, as nothing else may name the subject of what they list. A
    damaged manifest might refer to this image. Raises UsageError.
    """
    seen: set[str] = set()
    first = sorted(layout.entries, key=lambda named: not subject_of_list(named))
    waiting = [(named, INDEX, "") for named in reversed(first)]
    while waiting:
        named, by, told = waiting.pop()
        if named.digest in seen:
            continue
        seen.add(named.digest)
        if len(seen) > _MOST_READ:
            raise UsageError(f"{layout.store.shown(INDEX)}: it leads to more than {_MOST_READ} manifests", _IN_PARTS)
        if not layout.holds_manifest(named):
            if told:
                yield named, by, told
            continue
        manifest = layout.manifest(named, by)
        if subject := manifest.subject or told:
            yield named, by, subject
        of = subject_of_list(named) if by == INDEX else ""
        waiting.extend((child, name_of(manifest), of) for child in reversed(manifest.children))


_ABOUT = re.compile(r"(?:.*:)?(sha256|sha512)-([0-9a-f]{64,128})(\.[\w.-]+)?", re.ASCII)
"""Tags of referrers (OCI distribution specification, `spec.md`, Referrers Tag Schema); cosign and regclient add a
suffix for signatures, attestations and the like. A repository may precede it."""
_OF_COSIGN = "dev.cosignproject.cosign/"
_IMAGES = (f"{_OF_COSIGN}image", f"{_OF_COSIGN}imageIndex")
_SUFFIXES = {f"{_OF_COSIGN}sigs": ".sig", f"{_OF_COSIGN}atts": ".att", f"{_OF_COSIGN}sboms": ".sbom"}
"""Kinds of entries of `cosign save`, and the suffixes of the tags that `cosign load` gives them."""
_LONGEST = 128
"""Characters of a tag (OCI distribution specification, `spec.md`)."""


class Tagged(NamedTuple):
    """An entry of `index.json` about its `subject`; `tag` is empty if registries can have none for it."""

    named: Descriptor
    subject: str
    tag: str


def tells_of_another(named: Descriptor) -> bool:
    """Whether an entry refers to another image, by its name or kind."""
    return named.kind in _SUFFIXES or any(map(_ABOUT.fullmatch, named.names))


def is_kept_beside(named: Descriptor) -> bool:
    """Whether `cosign save` wrote the entry under the name of its image."""
    return named.kind in _SUFFIXES


def subject_of_list(named: Descriptor) -> str:
    """The subject of everything in a fallback index; empty for any other entry."""
    found = next((one for one in map(_ABOUT.fullmatch, named.names) if one and not one[3]), None)
    return f"{found[1]}:{found[2]}" if found else ""


def companions_of(layout: Layout) -> Iterator[Tagged]:
    """The manifests among the entries whose tag is made of their subject's digest."""
    images: dict[tuple[str, ...], set[str]] = {}
    for one in layout.entries:
        if one.kind in _IMAGES:
            images.setdefault(one.names, set()).add(one.digest)
    for named in layout.entries:
        if named.media_type and not is_manifest(named.media_type):
            continue
        found = (about for about in map(_ABOUT.fullmatch, named.names) if about and about[3])
        by_name = {(f"{about[1]}:{about[2]}", about[3]) for about in found}
        for subject, suffix in sorted(by_name):
            yield _tagged(named, subject, suffix)
        if named.kind in _SUFFIXES and not by_name:
            saved_with = images.get(named.names, set())  # by cosign; of several, unknown which
            yield _tagged(named, next(iter(saved_with)) if len(saved_with) == 1 else "", _SUFFIXES[named.kind])


def _tagged(named: Descriptor, subject: str, suffix: str) -> Tagged:
    tag = f"{subject.replace(':', '-')}{suffix}" if subject else ""
    return Tagged(named, subject, tag if len(tag) <= _LONGEST else "")
