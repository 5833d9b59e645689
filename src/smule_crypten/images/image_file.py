"""Reading one image file, in the same way for training and for prediction.

- Depth is kept: 8 bits a channel as uint8; grey of more bits as float32, divided by the largest number of so many bits,
  so that values lie in 0..1 as those of 8 bits do once they are normalized; grey floating point if it lies in 0..1.
  Refused is what Pillow would cut to 8 bits (colour of 16) and what has no white (signed and 32-bit integers).
- An image is turned as its orientation tag says.
- What is transparent is put on white, as viewers show it.
- Palettes, black-and-white and CMYK become RGB. A file of several images is refused; the second picture inside of a
  photo (MPO) is left out.
- DICOM is another thing: its values are in units of its own (image_dicom.py).
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from smule_crypten.config.options import one_line
from smule_crypten.errors import DataError
from smule_crypten.images import image_dicom
from smule_crypten.images.image_depth import Unusable, deep_grey, depth_of
from smule_crypten.names import printable, shown

SUFFIXES = (
    ".bmp", ".gif", ".j2k", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
    *image_dicom.SUFFIXES,
)  # fmt: skip
"""A file counts as an image if its name ends so, in capitals or not; what it holds then decides how it is read."""

_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_HEAD_BYTES = 65536
_ORIENTATION = 274

TURNED = "turned by their orientation tag"
ON_WHITE = "partly transparent, put on white"
FIRST_PICTURE = "with a second picture inside, which was left out"
DECODER_WARNED = "with a remark of the decoder"


class ImageSize(NamedTuple):
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class ImageFile:
    """pixels_CHW is uint8 or float32, in 0..1 unless is_in_units.

    Attributes:
        depth: the bits a channel, in words.
        remarks: what was done with it.
        is_in_units: whether its values have units of their own, as those of DICOM have.
    """

    pixels_CHW: npt.NDArray[Any]
    depth: str
    remarks: tuple[str, ...]
    is_in_units: bool = False


def read_image(path: Path, channels: int, size: ImageSize | None) -> ImageFile:
    """Read path as RGB (3 channels) or grey (1), and resize it if a size is given.

    Raises:
        DataError: the file is damaged or of an unknown kind, holds several images, would lose depth, or has colours
            where grey is needed.
    """
    try:
        if not path.is_file():
            raise DataError(f"cannot decode {printable(str(path))} (no regular file); replace or remove it")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            is_dicom = path.suffix.lower() in image_dicom.SUFFIXES
            read = (_read_dicom if is_dicom else _read_picture)(path, channels, size)
    except DataError:
        raise
    except Unusable as error:
        raise DataError(f"{printable(str(path))} {error}") from None
    except Exception as error:  # a damaged file may break Pillow in any way
        raise DataError(
            f"cannot decode {printable(str(path))} ({shown(one_line(error))}); replace or remove it"
        ) from error
    if caught:
        return dataclasses.replace(read, remarks=(*read.remarks, DECODER_WARNED))
    return read


def require_alike(path: Path, image: ImageFile, first_path: Path, first: ImageFile) -> None:
    """Refuse an image of another depth or size than the first one of its data set.

    Raises:
        DataError: both files are named.
    """
    if image.depth != first.depth:
        raise DataError(
            f"{printable(str(path))} has {image.depth}, {printable(str(first_path))} has "
            f"{first.depth}; convert them to one depth"
        )
    (_, height, width), (_, first_height, first_width) = image.pixels_CHW.shape, first.pixels_CHW.shape
    if (height, width) != (first_height, first_width):
        raise DataError(
            f"{printable(str(path))} is {height}x{width}, {printable(str(first_path))} is "
            f"{first_height}x{first_width}; set data.options.image_size=[{first_height},{first_width}] to resize"
        )


def _read_dicom(path: Path, channels: int, size: ImageSize | None) -> ImageFile:
    values_HW, depth = image_dicom.read_dicom(path)
    return dataclasses.replace(_of_grey(values_HW, depth, channels, size, ()), is_in_units=True)


def _of_grey(
    values_HW: npt.NDArray[np.float32], depth: str, channels: int, size: ImageSize | None, remarks: tuple[str, ...]
) -> ImageFile:
    resized_HW = np.asarray(_resized(Image.fromarray(values_HW), size))
    return ImageFile(np.repeat(resized_HW[None], channels, axis=0), depth, remarks)


def _read_picture(path: Path, channels: int, size: ImageSize | None) -> ImageFile:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        with Image.open(file, formats=_FORMATS) as image:
            return _read(image, head, channels, size)


def _read(image: Image.Image, head: bytes, channels: int, size: ImageSize | None) -> ImageFile:
    remarks = []
    if getattr(image, "n_frames", 1) > 1:
        if image.format != "MPO":
            raise Unusable("holds several images or frames; save the one that counts as a file of its own")
        remarks.append(FIRST_PICTURE)
    depth = depth_of(image, head)
    if image.getexif().get(_ORIENTATION) in range(2, 9):
        remarks.append(TURNED)
    image.load()
    upright = ImageOps.exif_transpose(image)
    grey_HW = deep_grey(upright, depth)
    if grey_HW is not None:
        if "transparency" in upright.info:
            remarks.append(ON_WHITE)
        text = "floating point" if upright.mode == "F" else depth.text
        return _of_grey(grey_HW, text, channels, size, tuple(remarks))
    opaque = _on_white(upright)
    if opaque is not upright:
        remarks.append(ON_WHITE)
    return ImageFile(_bytes(opaque.convert("RGB"), channels, size), "8 bits", tuple(remarks))


def _on_white(image: Image.Image) -> Image.Image:
    """`image` without what is transparent; image itself where nothing is."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    colours = image.convert("RGBA")
    if np.asarray(colours.getchannel("A")).min() == 255:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(colours)
    return white


def _bytes(image: Image.Image, channels: int, size: ImageSize | None) -> npt.NDArray[np.uint8]:
    """Of an RGB image, (C, H, W)."""
    if channels == 1:
        red, green, blue = (np.asarray(channel) for channel in image.split())
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            raise Unusable("is in colour, where grey images are needed; convert it to grey")
        return np.asarray(_resized(image.getchannel(0), size))[None]
    return np.asarray(_resized(image, size)).transpose(2, 0, 1)


def _resized(image: Image.Image, size: ImageSize | None) -> Image.Image:
    return image if size is None else image.resize((size.width, size.height), Image.Resampling.BILINEAR)
