"""What an image's config says of it, wherever the config comes from."""

from __future__ import annotations

from typing import Any

from pushsafe.documents import field
from pushsafe.model import ImageConfig
from pushsafe.platforms import of_document
from pushsafe.sanitize import clean

VERSION = "org.opencontainers.image.version"
"""OCI image specification, `annotations.md`; builders write it as a label of the config."""


def said_by(document: dict[str, Any]) -> ImageConfig:
    """A config's document read (OCI image specification, `config.md`); one of something else tells neither platform nor
    version."""
    config = field(document, "config")
    labels = field(config, "Labels") if isinstance(config, dict) else None
    version = labels.get(VERSION) if isinstance(labels, dict) else None
    features = field(document, "os.features")
    return ImageConfig(
        of_document(document),
        clean(version, limit=128) if isinstance(version, str) else "",
        tuple(one for one in features if isinstance(one, str)) if isinstance(features, list) else (),
    )
