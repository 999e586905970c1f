"""What mends a file: the sentences that several rooms say."""

from __future__ import annotations

AGAIN = "write it again with the tool that made it, or copy it again if it was copied"
"""Of an image layout, and whatever is in it."""
SAVE_AGAIN = "save the image again, or copy the file again if it was copied"
"""Of what `docker save` wrote."""
COPY_AGAIN = "write it again, or copy it again if it was copied"
"""Of a tar file, whatever is in it."""
PULL_AGAIN = "pull the image with a newer tool, which converts it, and write it again"
"""Of a manifest of the first schema."""
NO_IMAGE = "name an image or an index of images; layers, build caches and the like are not images"
"""Of what a layout holds besides."""
BY_DIGEST = "name the image that is meant within it, by --platform or by its digest"
"""Of what leads to more than an image can have."""
