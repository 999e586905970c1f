"""zstd as Python's standard library has it from 3.14 on, and the package that is the same before."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError, ZstdFile
else:
    from backports.zstd import ZstdDecompressor, ZstdError, ZstdFile

__all__ = ["ZstdDecompressor", "ZstdError", "ZstdFile"]
