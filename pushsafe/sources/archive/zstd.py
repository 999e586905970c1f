"""zstd of the standard library (from Python 3.14 on), or of the package that backports it."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError, open
else:
    from backports.zstd import ZstdDecompressor, ZstdError, open

__all__ = ["ZstdDecompressor", "ZstdError", "open"]
