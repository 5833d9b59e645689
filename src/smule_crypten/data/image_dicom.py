"""Reading one DICOM file: a single frame of grey, uncompressed, in its own units.

Values are those that the file's rescale slope and intercept give, for example Hounsfield units, or the stored numbers
where there are none; MONOCHROME1, where the smallest number is white, is turned round. Window and level, which are for
viewers, are not applied. Of the data set only what describes the pixels is read: names, dates and identifiers of a
patient never get into memory, and so into no message. What the library says of a file is not repeated either.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smule_crypten.data.image_depth import Unusable
from smule_crypten.errors import DataError

SUFFIXES = (".dcm", ".dicom")

_TAGS = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PlanarConfiguration", "NumberOfFrames", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_WHITE_IS_LEAST = "MONOCHROME1"
_GREY = (_WHITE_IS_LEAST, "MONOCHROME2")
_BITS = (8, 16)


class DicomImage(NamedTuple):
    """values_HW: float32. depth: in words, equal for files whose values mean the same."""

    values_HW: npt.NDArray[np.float32]
    depth: str


def read_dicom(path: Path) -> DicomImage:
    """Read a file.

    Raises:
        DataError: pydicom is not installed.
        Unusable: the file is damaged, compressed, in colour, or holds several frames.
    """
    try:
        import pydicom
    except ImportError:
        raise DataError(
            "files called *.dcm are DICOM, which needs pydicom: pip install -c constraints.txt -e '.[dicom]'; or "
            "move them away"
        ) from None
    try:
        with _without_log():
            content = pydicom.dcmread(path, specific_tags=list(_TAGS))
            _check(content)
            return _in_units(content, content.pixel_array)
    except Unusable:
        raise
    except Exception as error:  # a damaged file may break the library in any way
        raise Unusable(f"cannot be read as DICOM ({type(error).__name__}); export it again, or remove it") from None


@contextmanager
def _without_log() -> Iterator[None]:
    """The library's log repeats values of elements that it doubts."""
    log = logging.getLogger("pydicom")
    was_disabled, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = was_disabled


def _check(content: Any) -> None:
    """What the pixels are, before any is decoded."""
    if content.file_meta.TransferSyntaxUID.is_encapsulated:
        raise Unusable(
            "is compressed DICOM; decompress it without loss, as by `gdcmconv --raw in.dcm out.dcm`, or export it "
            "uncompressed (Explicit VR Little Endian)"
        )
    if "PixelData" not in content:
        raise Unusable("is DICOM without pixels of whole numbers; export images, not reports or maps")
    if int(content.get("NumberOfFrames") or 1) != 1 or "PerFrameFunctionalGroupsSequence" in content:
        raise Unusable("holds several frames, or is an enhanced object; export each frame as a file of its own")
    if content.SamplesPerPixel != 1 or content.PhotometricInterpretation not in _GREY:
        raise Unusable("is DICOM in colour or with a palette; export it as grey, or as PNG")
    if content.BitsAllocated not in _BITS:
        raise Unusable(f"is DICOM of {int(content.BitsAllocated)} bits a pixel; export it with 8 or 16")
    if "ModalityLUTSequence" in content or "SharedFunctionalGroupsSequence" in content:
        raise Unusable("has a table of values in place of slope and intercept; export it with those")


def _in_units(content: Any, stored_HW: npt.NDArray[Any]) -> DicomImage:
    is_rescaled = "RescaleSlope" in content or "RescaleIntercept" in content
    slope = float(content.get("RescaleSlope", 1) if is_rescaled else 1)
    intercept = float(content.get("RescaleIntercept", 0) if is_rescaled else 0)
    bits = int(content.BitsStored)
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope):
        raise Unusable("has a rescale slope or intercept that is no number; export it again")
    values_HW = stored_HW.astype(np.float64)  # pydicom has cleared what stands beyond these bits
    if content.PhotometricInterpretation == _WHITE_IS_LEAST:
        least = -(2 ** (bits - 1)) if content.PixelRepresentation else 0
        values_HW = 2 * least + 2**bits - 1 - values_HW
    depth = "values of DICOM, rescaled" if is_rescaled else f"values of DICOM, {bits} bits"
    return DicomImage((values_HW * slope + intercept).astype(np.float32), depth)
