"""How many bits a channel of an image file has, which Pillow does not say where it cuts them to 8.

Pillow's mode is that of what it hands out. The file's own header tells more: how many bits there were, which number is
white, and whether white is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

_DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_WHITE_OF_16 = 65535


class Unusable(Exception):
    """Why a file cannot be used; the caller adds its name."""


@dataclass(frozen=True)
class Depth:
    """Of an opened image: bits a channel of its file; white, the number that means it in what Pillow hands out.

    may_be_mode_i: whether such numbers may come in Pillow's mode for signed 32-bit integers.
    """

    bits: int
    white: int
    white_is_zero: bool = False
    may_be_mode_i: bool = False

    @property
    def text(self) -> str:
        return f"{self.bits} bits"


def depth_of(image: Image.Image, head: bytes) -> Depth:
    """The depth that the file declares.

    Args:
        image: opened, not yet loaded.
        head: how the file begins.

    Raises:
        Unusable: it has no scale, or none that can be found.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _of_tiff(image)
    if image.format == "PNG":
        return _of_bits(head[24])
    if image.format == "JPEG2000":
        return _of_bits(_jpeg2000_bits(head))
    if image.format == "PPM":
        return _of_bits(_pnm_bits(image))
    return _of_bits(8)


def deep_grey(image: Image.Image, depth: Depth) -> npt.NDArray[np.float32] | None:
    """Grey of more than 8 bits or of floating point as (H, W) in 0..1; None for what has 8 bits or fewer.

    Raises:
        Unusable: Pillow has cut it to 8 bits, or its numbers have no scale.
    """
    if image.mode == "F":
        return _floating(np.asarray(image, dtype=np.float32), depth)
    if image.mode in _DEEP_GREY or (image.mode == "I" and depth.may_be_mode_i):
        return _integers(np.asarray(image).astype(np.int64), image.info.get("transparency"), depth)
    if image.mode == "I":
        raise Unusable("holds signed or 32-bit integers, whose white is unknown; save it as grey of 8 or 16 bits")
    if depth.bits > 8:
        raise Unusable(
            f"has {depth.bits} bits a channel in colour or with transparency, of which 8 would be left; "
            "convert it to 8 bits, or to grey of 16 bits"
        )
    return None


def _integers(pixels_HW: npt.NDArray[np.int64], transparent: Any, depth: Depth) -> npt.NDArray[np.float32]:
    if pixels_HW.min() < 0 or pixels_HW.max() > depth.white:
        raise Unusable(f"holds numbers beyond its {depth.bits} bits; save it again")
    if depth.white_is_zero:
        pixels_HW = depth.white - pixels_HW
    if isinstance(transparent, int):  # one grey value is transparent: it is put on white
        pixels_HW = np.where(pixels_HW == transparent, depth.white, pixels_HW)
    return (pixels_HW / depth.white).astype(np.float32)


def _floating(pixels_HW: npt.NDArray[np.float32], depth: Depth) -> npt.NDArray[np.float32]:
    low, high = float(pixels_HW.min()), float(pixels_HW.max())
    if not (low >= 0 and high <= 1):  # also if one of them is NaN
        raise Unusable(
            f"holds floating-point values from {low:g} to {high:g}; scale them to 0..1, or save it as grey of 16 bits"
        )
    return 1 - pixels_HW if depth.white_is_zero else pixels_HW


def _of_bits(bits: int) -> Depth:
    return Depth(bits=bits, white=_WHITE_OF_16 if bits > 8 else 255, may_be_mode_i=bits > 8)


def _of_tiff(image: TiffImagePlugin.TiffImageFile) -> Depth:
    """Pillow hands out grey of 12 and 16 bits as it is, also where the file says that 0 is white."""
    tags = image.tag_v2
    bits = max(_numbers(tags.get(_BITS_PER_SAMPLE, 1)))
    if _SIGNED in _numbers(tags.get(_SAMPLE_FORMAT, 1)):
        raise Unusable("holds signed integers, whose black and white are unknown; save it as grey of 8 or 16 bits")
    return Depth(bits=bits, white=2 ** min(bits, 32) - 1, white_is_zero=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _numbers(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (int(value),)


def _jpeg2000_bits(head: bytes) -> int:
    """The most bits of a component, by the SIZ segment: 40 bytes from its beginning, 3 bytes a component."""
    start = head.find(b"\xff\x4f\xff\x51")
    size = head[start + 2 :] if start >= 0 else b""
    count = int.from_bytes(size[38:40], "big")
    precisions = size[40 : 40 + 3 * count : 3]
    if not count or len(precisions) != count:
        raise Unusable("does not say how many bits it has near its beginning; save it as PNG or TIFF")
    return max((value & 0x7F) + 1 for value in precisions)


def _pnm_bits(image: Any) -> int:
    """By the largest number that the header allows, which Pillow leaves in its plan of decoding."""
    decoder, *_, arguments = image.tile[0]
    if decoder == "raw":
        return 16 if "16" in str(arguments) else 8
    largest = arguments[-1] if isinstance(arguments, tuple) else 255
    return max(int(largest).bit_length(), 1)
