"""What an index is made of: manifests and blobs by their descriptors, and the repositories that hold them."""

from __future__ import annotations

from typing import NamedTuple

from pushsafe.model.credentials import Credential
from pushsafe.model.references import Platform, Reference


class Repository(NamedTuple):
    """A repository, and as whom it is spoken to; the tag of `reference` says nothing."""

    reference: Reference
    credential: Credential


class Blob(NamedTuple):
    """A layer, or a config, as a manifest names it; `size` is in bytes."""

    digest: str
    size: int
    is_layer: bool = True


class Descriptor(NamedTuple):
    """A manifest as an index names it (OCI image specification, `descriptor.md`).

    `platform` is `None` where it names none, as for an attestation of the manifest `attests`. `written` is the whole of
    it in JSON: annotations, features of an OS and whatever else there is are kept.
    """

    digest: str
    media_type: str
    written: str
    platform: Platform | None = None
    attests: str = ""
