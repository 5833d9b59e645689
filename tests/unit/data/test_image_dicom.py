"""DICOM: values in the units of the file, and nothing of the patient in any message."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, SecondaryCaptureImageStorage

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.image_dicom import read_dicom
from smule_crypten.data.image_file import ImageSize, read_image
from smule_crypten.data.inputs import Scale, read_inputs
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import DataError

STORED = np.array([[0, 1, 700], [2000, 4000, 4095]], np.uint16)
PATIENT = "Mustermann^Erika"


def write(path: Path, stored: np.ndarray = STORED, **elements: Any) -> Path:
    """A file of 12 bits in 16, as many machines write it, with elements changed or, where None, left out."""
    content = pydicom.Dataset()
    content.PatientName, content.PatientID = PATIENT, "4711"
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.Rows, content.Columns = stored.shape[-2:]
    content.BitsAllocated, content.BitsStored = 8 * stored.dtype.itemsize, 12 if stored.dtype.itemsize > 1 else 8
    content.PixelRepresentation = int(stored.dtype.kind == "i")
    content.PixelData = stored.tobytes()
    syntax = elements.pop("syntax", ExplicitVRLittleEndian)
    for name, value in elements.items():
        setattr(content, name, value)
        if value is None:
            delattr(content, name)
    content.HighBit = content.BitsStored - 1
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = syntax
    content.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    content.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["test"])
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, content, enforce_file_format=True)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as refused:
        read_image(path, 1, None)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
    assert "Mustermann" not in str(refused.value)
    return str(refused.value)


class TestValues:
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_stored_numbers(self, tmp_path: Path, syntax: Any) -> None:
        """All bits are kept, in one channel or in three."""
        path = write(tmp_path / "a.dcm", syntax=syntax)
        read = read_image(path, 1, None)
        np.testing.assert_array_equal(read.pixels_CHW, STORED[None].astype(np.float32))
        assert read.depth == "values of DICOM, 12 bits"
        np.testing.assert_array_equal(read_image(path, 3, None).pixels_CHW, np.repeat(STORED[None], 3, axis=0))

    def test_sixteen_bits(self, tmp_path: Path) -> None:
        stored = np.array([[0, 65535], [12345, 54321]], np.uint16)
        path = write(tmp_path / "a.dcm", stored, BitsStored=16)
        assert read_dicom(path).values_HW.tolist() == stored.tolist()

    def test_slope_and_intercept(self, tmp_path: Path) -> None:
        """As the standard has it: stored * slope + intercept, in Hounsfield units for example."""
        stored = np.array([[-100, 0], [24, 2047]], np.int16)
        path = write(tmp_path / "a.dcm", stored, RescaleSlope="0.5", RescaleIntercept="-1024")
        read = read_dicom(path)
        np.testing.assert_array_equal(read.values_HW, stored * 0.5 - 1024)
        assert read.depth == "values of DICOM, rescaled"

    @pytest.mark.parametrize("kind", [np.uint16, np.int16, np.uint8])
    def test_white_is_the_least_number(self, tmp_path: Path, kind: Any) -> None:
        """MONOCHROME1 is turned round within its bits, as pydicom's own example of inversion does."""
        stored = np.array([[0, 100]], kind)
        read = read_dicom(write(tmp_path / "a.dcm", stored, PhotometricInterpretation="MONOCHROME1"))
        greatest = {np.uint16: 4095, np.int16: -1, np.uint8: 255}[kind]
        assert read.values_HW.tolist() == [[greatest, greatest - 100]]

    @pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm"])
    def test_files_of_machines(self, name: str) -> None:
        """Those that come with pydicom, against its own function for modality values."""
        path = get_testdata_file(name)
        content = pydicom.dcmread(path)
        expected = pydicom.pixels.apply_rescale(content.pixel_array, content)
        np.testing.assert_allclose(read_dicom(Path(path)).values_HW, expected, rtol=1e-6)

    def test_resized(self, tmp_path: Path) -> None:
        """As other deep images: without cutting values to bytes."""
        flat = write(tmp_path / "a.dcm", np.full((4, 4), 3000, np.uint16))
        assert read_image(flat, 1, ImageSize(2, 3)).pixels_CHW.tolist() == [[[3000] * 3] * 2]


class TestRefusals:
    @pytest.mark.parametrize(
        ("elements", "message"),
        [
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colour or with a palette"),
            ({"SamplesPerPixel": 3}, "in colour or with a palette"),
            ({"NumberOfFrames": 2}, "several frames"),
            ({"PixelData": None}, "without pixels"),
            ({"BitsAllocated": 32}, "is DICOM of 32 bits a pixel"),
            ({"RescaleSlope": "0", "RescaleIntercept": "0"}, "a rescale slope or intercept that is no number"),
            ({"ModalityLUTSequence": []}, "a table of values in place of slope"),
            ({"PerFrameFunctionalGroupsSequence": []}, "an enhanced object"),
            ({"Rows": 3000}, "cannot be read as DICOM"),
            ({"PixelRepresentation": None}, "cannot be read as DICOM"),
        ],
    )
    def test_what_has_no_one_meaning(self, tmp_path: Path, elements: dict[str, Any], message: str) -> None:
        assert message in refusal(write(tmp_path / "a.dcm", **elements))

    def test_compressed(self, tmp_path: Path) -> None:
        """What to do is said."""
        pixels = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51"])
        path = write(tmp_path / "a.dcm", PixelData=pixels, syntax=JPEG2000Lossless)
        assert "gdcmconv --raw" in refusal(path)
        assert "is compressed DICOM" in refusal(Path(get_testdata_file("MR_small_RLE.dcm")))

    @pytest.mark.parametrize("keep", [0, 100, 200, -5])
    def test_damaged(self, tmp_path: Path, keep: int) -> None:
        path = write(tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:keep])
        assert "DICOM" in refusal(path)

    def test_without_pydicom(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path / "a.dcm")
        monkeypatch.setitem(sys.modules, "pydicom", None)
        with pytest.raises(DataError, match=r"needs pydicom: pip install .*\[dicom\]"):
            read_image(path, 1, None)


def folder_of(root: Path, **elements: Any) -> Path:
    for number, name in enumerate(("train/no/1", "train/yes/2", "test/no/3", "test/yes/4")):
        write(root / f"{name}.dcm", STORED - np.minimum(STORED, number), **elements)
    return root


def load(root: Path) -> DataBundle:
    return load_data(DataConfig(name="image_folder", path=str(root), options={"channels": 1}))


def test_a_folder(tmp_path: Path) -> None:
    """Its values are said, since the constants of the normalization must fit them."""
    bundle = load(folder_of(tmp_path))
    assert bundle.train.inputs.shape == (2, 1, 2, 3)
    assert "train: values of DICOM, 12 bits, from 0 to 4095, so fit data.mean and data.std" in bundle.notes


def test_one_depth(tmp_path: Path) -> None:
    """Values that mean something else are no part of the same data set."""
    folder_of(tmp_path)
    write(tmp_path / "train/no/9.dcm", RescaleSlope="1", RescaleIntercept="-1024")
    with pytest.raises(DataError, match="convert them to one depth"):
        load(tmp_path)


def test_a_folder_to_predict(tmp_path: Path) -> None:
    """In the units of the training: neither scaled to 0..1 nor refused."""
    train = load(folder_of(tmp_path / "data")).train.inputs
    write(tmp_path / "new" / "5.dcm")
    found = read_inputs(tmp_path / "new", (1, 2, 3), trained_on=train.dtype, scale=Scale.of(train))
    np.testing.assert_array_equal(found.inputs[0, 0].numpy(), STORED)
    write(tmp_path / "new" / "5.dcm", RescaleSlope="1000", RescaleIntercept="0")
    with pytest.raises(DataError, match="scale them alike"):
        read_inputs(tmp_path / "new", (1, 2, 3), trained_on=train.dtype, scale=Scale.of(train))


def test_no_word_of_the_patient(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in notes nor in the log, which pydicom fills with elements that it doubts."""
    path = folder_of(tmp_path)
    bad = path / "train/no/1.dcm"
    bad.write_bytes(bad.read_bytes().replace(b"MONOCHROME2 ", b"Mustermann^E"))
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError) as refused:
        load(path)
    assert "Mustermann" not in str(refused.value) + caplog.text
    write(bad)
    assert not any("Mustermann" in note or "4711" in note for note in load(path).notes)
