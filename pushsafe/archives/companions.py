"""What a layout holds about its images by tags made of their digests: signatures, attestations, SBOMs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pushsafe.archives.descriptors import Named
from pushsafe.archives.layout import Layout
from pushsafe.model import INDEX_TYPES, MANIFEST_TYPES

_ABOUT = re.compile(r"(?:.*:)?(sha256|sha512)-([0-9a-f]{64,128})(\.[\w.-]+)?", re.ASCII)
"""Tags of what refers to another image (OCI distribution specification, `spec.md`, Referrers Tag Schema); with a suffix
it is what cosign and regclient call signatures, attestations and the like. A repository may stand before it."""
_OF_COSIGN = "dev.cosignproject.cosign/"
_IMAGES = (f"{_OF_COSIGN}image", f"{_OF_COSIGN}imageIndex")
_SUFFIXES = {f"{_OF_COSIGN}sigs": ".sig", f"{_OF_COSIGN}atts": ".att", f"{_OF_COSIGN}sboms": ".sbom"}
"""Kinds of entries that `cosign save` writes, and the suffixes of the tags that `cosign load` gives them."""
_LONGEST = 128
"""Characters of a tag (OCI distribution specification, `spec.md`)."""


class Tagged(NamedTuple):
    """An entry of `index.json` about something else, its `subject`; no `tag` where registries can have none for it."""

    named: Named
    subject: str
    tag: str


def tells_of_another(named: Named) -> bool:
    """Whether an entry is, by its name or kind, about another image."""
    return named.kind in _SUFFIXES or any(map(_ABOUT.fullmatch, named.names))


def is_kept_beside(named: Named) -> bool:
    """Whether `cosign save` wrote it beside the image, under the image's name."""
    return named.kind in _SUFFIXES


def subject_of_list(named: Named) -> str:
    """What all refers to that a fallback index names; empty for anything else."""
    found = next((one for one in map(_ABOUT.fullmatch, named.names) if one and not one[3]), None)
    return f"{found[1]}:{found[2]}" if found else ""


def companions_of(layout: Layout) -> Iterator[Tagged]:
    """The manifests among the entries that have, or get, a tag made of their subject's digest."""
    images: dict[tuple[str, ...], set[str]] = {}
    for one in layout.entries:
        if one.kind in _IMAGES:
            images.setdefault(one.names, set()).add(one.digest)
    for named in layout.entries:
        if named.media_type not in ("", *INDEX_TYPES, *MANIFEST_TYPES):
            continue
        found = (about for about in map(_ABOUT.fullmatch, named.names) if about and about[3])
        by_name = {(f"{about[1]}:{about[2]}", about[3]) for about in found}
        for subject, suffix in sorted(by_name):
            yield _tagged(named, subject, suffix)
        if named.kind in _SUFFIXES and not by_name:
            saved_with = images.get(named.names, set())  # by cosign; of several nobody can tell which
            yield _tagged(named, next(iter(saved_with)) if len(saved_with) == 1 else "", _SUFFIXES[named.kind])


def _tagged(named: Named, subject: str, suffix: str) -> Tagged:
    tag = f"{subject.replace(':', '-')}{suffix}" if subject else ""
    return Tagged(named, subject, tag if len(tag) <= _LONGEST else "")
