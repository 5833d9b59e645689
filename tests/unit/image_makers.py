"""Tiny image files of kinds that Pillow writes and of some that it does not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GREY_16 = (np.arange(12, dtype=np.uint16) * 5000).reshape(3, 4)
"""Up to 55,000 of 65,535."""
GREY_8 = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_16(path: Path, color_type: int, channels: int, extra: bytes = b"") -> Path:
    """2x2 pixels of 16 bits a channel, the same in each: 0x1000, then 0x2000."""
    rows = (b"\0" + b"\x10\x00" * channels + b"\x20\x00" * channels) * 2
    header = struct.pack(">IIBBBBB", 2, 2, 16, color_type, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(content + chunk(b"IEND", b""))
    return path


def tiff_12(path: Path) -> Path:
    """Grey of 12 bits, packed as TIFF has it: two pixels, 0 and 4095."""
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (279, 4, 3)]
    entries = b"".join(struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value) for tag, kind, value in tags)
    pixels = b"\x00\x0f\xff"
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\x00" + struct.pack("<I", 12) + pixels + b"\0" + directory)
    return path


def oriented(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    """pixels with an orientation tag."""
    tags = Image.Exif()
    tags[274] = orientation
    options = {"lossless": True} if path.suffix == ".webp" else {"quality": 100} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, exif=tags, **options)
    return path
