"""Files that were changed at random: the readers of archives and images answer with images or with a DataError."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_makers import GREY_8, GREY_16
from mutations import changed
from PIL import Image

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.files_ts import read_ts
from smule_crypten.data.image_file import ImageSize, read_image
from smule_crypten.data.inputs import read_inputs
from smule_crypten.data.loaders_npz import load_npz
from smule_crypten.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "JPEG2000")
BOUNDED = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SERIES = [
    b"#Tiny\n@univariate true\n@equalLength true\n@seriesLength 2\n@classLabel true a b\n@data\n1.5,?:a\n-2e3,NaN:b\n",
    b"@univariate false\n@dimensions 2\n@equalLength false\n@targetLabel true\n@data\n1,2:3,4:0.5\n1:3:1.5\n",
]


def archives() -> list[bytes]:
    images = np.arange(2 * 4, dtype=np.uint8).reshape(2, 1, 2, 2)
    arrays = {"x_train": images, "y_train": [0, 1], "x_test": images, "y_test": [0, 1], "images": images}
    found = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        found.append(buffer.getvalue())
    return found


def pictures() -> list[bytes]:
    found = []
    tags = Image.Exif()
    tags[274] = 6
    for kind in FORMATS:
        for pixels in (GREY_8, GREY_16, np.dstack([GREY_8] * 3)):
            if pixels.dtype == np.uint16 and kind not in ("PNG", "TIFF", "PPM", "JPEG2000"):
                continue
            buffer = io.BytesIO()
            options = {"exif": tags} if kind in ("PNG", "JPEG", "TIFF", "WEBP") else {}
            Image.fromarray(pixels).save(buffer, kind, **options)
            found.append(buffer.getvalue())
    return found


def check_samples(content: bytes) -> None:
    _only_typed(content, "in.png", lambda path: read_image(path, 3, None))
    _only_typed(content, "in.png", lambda path: read_image(path, 1, ImageSize(2, 5)))


def check_archives(content: bytes) -> None:
    _only_typed(content, "in.npz", lambda path: load_npz(DataConfig(name="npz", path=str(path))))
    _only_typed(content, "in.npz", lambda path: read_inputs(path, (1, 2, 2), trained_on=torch.uint8))


def check_series(content: bytes) -> None:
    _only_typed(content, "in.ts", read_ts)


def _only_typed(content: bytes, name: str, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = Path(folder, name)
        path.write_bytes(content)
        message = ""
        try:
            read(path)
        except DataError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1


@given(changed(pictures()))
@BOUNDED
def test_images(content: bytes) -> None:
    """Also whether warnings of the decoder stay inside."""
    check_samples(content)


@given(changed(archives()))
@BOUNDED
def test_archives(content: bytes) -> None:
    """In both readers."""
    check_archives(content)


@given(changed(SERIES))
@BOUNDED
def test_series(content: bytes) -> None:
    """Text that was changed at random."""
    check_series(content)


@pytest.mark.slow
@given(changed(pictures()))
@LONG
def test_many_images(content: bytes) -> None:
    """The same for longer, otherwise each time."""
    check_samples(content)


@pytest.mark.slow
@given(changed(archives()))
@LONG
def test_many_archives(content: bytes) -> None:
    """The same for longer, otherwise each time."""
    check_archives(content)


@pytest.mark.slow
@given(st.binary(max_size=300))
@LONG
def test_any_bytes(content: bytes) -> None:
    """What is no file of any kind."""
    check_samples(content)
    check_archives(content)
    check_series(content)
