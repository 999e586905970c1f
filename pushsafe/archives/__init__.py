"""Images that lie in files: OCI image layouts, in a folder or a tar file, and what `docker save` writes."""

from __future__ import annotations

from pushsafe.archives.opening import open_image

__all__ = ["open_image"]
