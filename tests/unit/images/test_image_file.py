"""One image file: depth, orientation, transparency, colours and frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_makers import GREY_8, GREY_16, chunk, oriented, png_16, tiff_12
from PIL import Image

from smule_crypten.errors import DataError
from smule_crypten.images.image_file import FIRST_PICTURE, ON_WHITE, TURNED, ImageSize, read_image


def saved(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


class TestDepth:
    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jp2", "a.pgm"])
    def test_grey_of_16_bits_is_kept(self, tmp_path: Path, name: str) -> None:
        """65,535 is white, so that values lie in 0..1; today's clipping would make all but one of them 255."""
        found = read_image(saved(tmp_path / name, GREY_16), 3, None)
        assert found.pixels_CHW.dtype == np.float32
        assert found.depth == "16 bits"
        np.testing.assert_allclose(found.pixels_CHW, np.repeat(GREY_16[None] / 65535, 3, axis=0), rtol=1e-6)

    def test_byte_order_and_compression_change_nothing(self, tmp_path: Path) -> None:
        """TIFF of either byte order, plain or compressed."""
        for number, (pixels, options) in enumerate(
            ((GREY_16.astype(">u2"), {}), (GREY_16, {"compression": "tiff_lzw"}))
        ):
            found = read_image(saved(tmp_path / f"{number}.tif", pixels, **options), 1, None)
            np.testing.assert_allclose(found.pixels_CHW[0], GREY_16 / 65535, rtol=1e-6)

    def test_white_may_be_zero(self, tmp_path: Path) -> None:
        """Radiographs often are stored so; Pillow hands the numbers out as they are."""
        found = read_image(saved(tmp_path / "a.tif", GREY_16, tiffinfo={262: 0}), 1, None)
        np.testing.assert_allclose(found.pixels_CHW[0], 1 - GREY_16 / 65535, rtol=1e-5)

    def test_12_bits_have_their_own_white(self, tmp_path: Path) -> None:
        """4,095 is white where the file declares 12 bits: TIFF keeps such numbers, PGM scales them."""
        assert read_image(tiff_12(tmp_path / "a.tif"), 1, None).pixels_CHW.tolist() == [[[0, 1]]]
        (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + np.array([0, 4095], ">u2").tobytes())
        assert read_image(tmp_path / "a.pgm", 1, None).pixels_CHW.tolist() == [[[0, 1]]]

    def test_floating_point_within_0_and_1(self, tmp_path: Path) -> None:
        """Taken as it is; other values have no scale that is known."""
        unit = (GREY_16 / 65535).astype(np.float32)
        found = read_image(saved(tmp_path / "a.tif", unit), 1, None)
        np.testing.assert_array_equal(found.pixels_CHW[0], unit)
        for wrong in (unit * 1000, unit - 0.5, np.where(unit > 0.5, np.nan, unit).astype(np.float32)):
            with pytest.raises(DataError, match=r"a\.tif holds floating-point values .*; scale them to 0\.\.1"):
                read_image(saved(tmp_path / "a.tif", wrong), 1, None)

    def test_integers_without_a_white_are_refused(self, tmp_path: Path) -> None:
        """Signed (as CT has them) and 32-bit numbers."""
        for wrong in (GREY_16.astype(np.int32) - 1000, GREY_16.astype(np.int32) * 1000):
            with pytest.raises(DataError, match=r"a\.tif holds signed .*save it as grey of 8 or 16 bits"):
                read_image(saved(tmp_path / "a.tif", wrong), 3, None)

    @pytest.mark.parametrize(("color_type", "channels"), [(2, 3), (4, 2), (6, 4)])
    def test_deep_colour_is_refused(self, tmp_path: Path, color_type: int, channels: int) -> None:
        """Pillow would hand out the upper 8 bits without a word."""
        with pytest.raises(DataError, match=r"a\.png has 16 bits a channel in colour or with transparency"):
            read_image(png_16(tmp_path / "a.png", color_type, channels), 3, None)

    def test_deep_colour_of_other_formats_is_refused(self, tmp_path: Path) -> None:
        """PPM declares it by its largest number, JPEG 2000 in its codestream."""
        (tmp_path / "a.ppm").write_bytes(b"P6 2 2 65535\n" + GREY_16.astype(">u2").tobytes())
        codestream = bytearray(saved(tmp_path / "b.j2k", GREY_8, "RGB").read_bytes())
        start = codestream.index(b"\xff\x4f\xff\x51") + 2
        codestream[start + 40] = 15
        (tmp_path / "b.j2k").write_bytes(codestream)
        for name in ("a.ppm", "b.j2k"):
            with pytest.raises(DataError, match="has 16 bits a channel in colour"):
                read_image(tmp_path / name, 3, None)

    @pytest.mark.parametrize(("mode", "values"), [("L", [0, 20]), ("1", [0, 0]), ("P", [0, 20])])
    def test_8_bits_and_fewer_are_bytes(self, tmp_path: Path, mode: str, values: list[int]) -> None:
        """Grey, black-and-white and palettes become 0..255."""
        found = read_image(saved(tmp_path / "a.png", GREY_8, mode), 3, None)
        assert (found.pixels_CHW.dtype, found.depth, found.remarks) == (np.uint8, "8 bits", ())
        assert found.pixels_CHW[0, 0, :2].tolist() == values
        assert set(np.unique(read_image(saved(tmp_path / "b.tif", GREY_8 > 90), 1, None).pixels_CHW)) == {0, 255}

    def test_a_resized_deep_image_stays_deep(self, tmp_path: Path) -> None:
        """The mean of four pixels is none of the 256 levels."""
        path = saved(tmp_path / "a.png", np.full((4, 4), 12345, np.uint16))
        found = read_image(path, 1, ImageSize(2, 3))
        assert found.pixels_CHW.shape == (1, 2, 3)
        np.testing.assert_allclose(found.pixels_CHW, 12345 / 65535, rtol=1e-6)


class TestOrientation:
    @pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
    def test_tags_are_followed(self, tmp_path: Path, name: str) -> None:
        """Each of the eight, in each format that carries them; sizes change with a quarter turn."""
        blocks = np.kron(np.array([[10, 90, 170], [200, 50, 130]], np.uint8), np.ones((8, 8), np.uint8))
        flips = (lambda x: x, np.fliplr, lambda x: np.rot90(x, 2), np.flipud)
        upright = [*flips, *(lambda x, f=f: f(x.T) for f in (flips[0], flips[1], flips[2], flips[3]))]
        for orientation, turn in enumerate(upright, start=1):
            found = read_image(oriented(tmp_path / name, blocks, orientation), 1, None)
            np.testing.assert_allclose(found.pixels_CHW[0].astype(int), turn(blocks), atol=3)
            assert found.remarks == (() if orientation == 1 else (TURNED,))

    def test_deep_images_are_turned_too(self, tmp_path: Path) -> None:
        """As those of 8 bits."""
        found = read_image(oriented(tmp_path / "a.png", GREY_16, 6), 1, None)
        np.testing.assert_allclose(found.pixels_CHW[0], np.rot90(GREY_16, -1) / 65535, rtol=1e-6)


class TestTransparency:
    def test_what_is_transparent_becomes_white(self, tmp_path: Path) -> None:
        """The colour under it, mostly black, is nothing that anybody sees. Half transparent is half white."""
        pixels = np.zeros((1, 3, 4), np.uint8)
        pixels[0, :, 3] = (0, 255, 128)
        for name in ("a.png", "a.webp", "a.tif"):
            found = read_image(
                saved(tmp_path / name, pixels, **({"lossless": True} if "webp" in name else {})), 3, None
            )
            assert found.pixels_CHW[:, 0].tolist() == [[255, 0, 127]] * 3
            assert found.remarks == (ON_WHITE,)

    def test_grey_and_palette_with_transparency(self, tmp_path: Path) -> None:
        """In two channels, as one entry of a palette, and as one grey value, of 16 bits too."""
        pair = np.dstack([GREY_8, np.where(GREY_8 == 0, 0, 255).astype(np.uint8)])
        expected = np.where(GREY_8 == 0, 255, GREY_8)
        files = [
            saved(tmp_path / "pair.png", pair),
            saved(
                tmp_path / "palette.png",
                GREY_8,
                "P",
                transparency=Image.fromarray(GREY_8).convert("P").getpixel((0, 0)),
            ),
            saved(tmp_path / "palette.gif", GREY_8, "P", transparency=0),
            saved(tmp_path / "key.png", GREY_8, transparency=0),
        ]
        for path in files:
            found = read_image(path, 1, None)
            np.testing.assert_array_equal(found.pixels_CHW[0], expected, err_msg=path.name)
            assert found.remarks == (ON_WHITE,)
        found = read_image(png_16(tmp_path / "deep.png", 0, 1, chunk(b"tRNS", b"\x10\x00")), 1, None)
        assert found.pixels_CHW[0, 0].tolist() == [1, pytest.approx(0x2000 / 65535)]

    def test_opaque_images_are_left_alone(self, tmp_path: Path) -> None:
        """An alpha channel that says nothing is no remark."""
        pixels = np.full((2, 2, 4), 255, np.uint8)
        pixels[..., 0] = 7
        found = read_image(saved(tmp_path / "a.png", pixels), 3, None)
        assert (found.pixels_CHW[:, 0, 0].tolist(), found.remarks) == ([7, 255, 255], ())


class TestColours:
    def test_grey_where_grey_is_needed(self, tmp_path: Path) -> None:
        """Also if it is stored as colour; true colours are refused, not weighed in some way."""
        for mode in ("L", "RGB", "CMYK"):
            path = saved(tmp_path / f"{mode}.tif", GREY_8, mode)
            np.testing.assert_array_equal(read_image(path, 1, None).pixels_CHW[0], GREY_8)
        colour = np.zeros((2, 2, 3), np.uint8)
        colour[..., 0] = 9
        with pytest.raises(DataError, match=r"a\.png is in colour, where grey images are needed"):
            read_image(saved(tmp_path / "a.png", colour), 1, None)

    def test_cmyk_becomes_rgb(self, tmp_path: Path) -> None:
        """A JPEG from a printer's program, whose numbers are inverted."""
        found = read_image(saved(tmp_path / "a.jpg", np.full((8, 8, 3), (250, 5, 5), np.uint8), "CMYK"), 3, None)
        np.testing.assert_allclose(found.pixels_CHW[:, 0, 0].astype(int), [250, 5, 5], atol=8)


class TestFrames:
    @pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif", "a.webp"])
    def test_several_images_are_refused(self, tmp_path: Path, name: str) -> None:
        """An animation or a stack: which of them is the sample is for the user to say."""
        saved(tmp_path / name, GREY_8, save_all=True, append_images=[Image.fromarray(255 - GREY_8)])
        with pytest.raises(DataError, match="holds several images or frames; save the one that counts"):
            read_image(tmp_path / name, 3, None)

    def test_a_photo_with_a_second_picture(self, tmp_path: Path) -> None:
        """Telephones add one (MPO, in files called .jpg); the first is the photo."""
        path = saved(tmp_path / "a.jpg", GREY_8, format="MPO", save_all=True, append_images=[Image.fromarray(GREY_8)])
        assert read_image(path, 1, None).remarks == (FIRST_PICTURE,)

    def test_one_frame_is_an_image(self, tmp_path: Path) -> None:
        """GIF and JPEG 2000 are read as any other."""
        for name in ("a.gif", "a.jp2", "a.j2k"):
            np.testing.assert_array_equal(read_image(saved(tmp_path / name, GREY_8), 1, None).pixels_CHW[0], GREY_8)


@pytest.mark.parametrize("content", [b"", b"none", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\x00\xff\xff\xff\xff"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    """One line with the name, whatever Pillow raises; a format that is not read (PSD here) is none either."""
    for text in (content, b"8BPS\x00\x01"):
        (tmp_path / "a.png").write_bytes(text)
        with pytest.raises(DataError, match=r"cannot decode .*a\.png"):
            read_image(tmp_path / "a.png", 3, None)
