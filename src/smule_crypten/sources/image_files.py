"""Image files as a source: each is decoded when it is needed, exactly as where all are decoded at once."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.errors import DataError
from smule_crypten.images.image_file import ImageFile, ImageSize, read_image, require_alike
from smule_crypten.images.packed_paths import PackedPaths
from smule_crypten.names import printable
from smule_crypten.sources.source import Positions

_BYTES_OF_FLOAT = 4


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A Source of images (N, channels, height, width).

    Attributes:
        paths: (N).
        stamps_N2: of each file its bytes and when it was last changed: they stand for what it holds.
        first: the first file, decoded; all others must be like it.
        channels, size: as images/image_file.py reads them.
        workers: processes that decode ahead.
    """

    paths: PackedPaths
    stamps_N2: npt.NDArray[np.int64]
    first: ImageFile
    channels: int
    size: ImageSize | None
    workers: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.paths), *self.first.pixels_CHW.shape)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8 if self.first.pixels_CHW.dtype == np.uint8 else torch.float32

    @property
    def num_bytes(self) -> int:
        """Of all images as networks see them, float32."""
        return _BYTES_OF_FLOAT * math.prod(self.shape)

    @cached_property
    def fingerprint(self) -> str:
        """Of all of the paths: other data may well have files of the same names, sizes and times."""
        digest = hashlib.sha256(f"{self.shape} {self.dtype} {self.channels} {self.size} {self.first.depth}\n".encode())
        digest.update(os.fsencode(os.path.realpath(self.paths.root)) + b"\0")
        digest.update(self.paths.packed_names)
        digest.update(self.stamps_N2.tobytes())
        return digest.hexdigest()

    def read(self, positions_B: Positions) -> torch.Tensor:
        pixels_BCHW = np.empty((len(positions_B), *self.shape[1:]), dtype=self.first.pixels_CHW.dtype)
        for place, position in enumerate(positions_B.tolist()):
            pixels_BCHW[place] = self.image(position).pixels_CHW
        return torch.from_numpy(pixels_BCHW)

    def image(self, position: int) -> ImageFile:
        """One of them.

        Raises:
            DataError: it is damaged, or of another size or depth than the first one; or it was changed since the folder
                was listed.
        """
        path = self.paths[position]
        image = read_image(path, self.channels, self.size)
        require_alike(path, image, self.paths[0], self.first)
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != tuple(self.stamps_N2[position].tolist()):
            raise DataError(
                f"{printable(str(path))} was changed since the folder was listed; leave the files alone while a run "
                "reads them"
            )
        return image
