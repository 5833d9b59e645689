"""Reading arrays of an .npz file: a zip archive of .npy members, as numpy.savez and savez_compressed write it.

Nothing is unpickled, and what a header claims is compared with what the file can hold before memory is taken for it:
1. the archive's directory: each member stored or deflated, not encrypted, no larger than deflate can make its bytes;
2. a member's header: numbers only, and exactly as many as the directory says;
3. the numbers, with their checksum.
"""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from smule_crypten.config.options import one_line
from smule_crypten.errors import DataError
from smule_crypten.names import listed, shown

Array = npt.NDArray[Any]

_SUFFIX = ".npy"
_ENCRYPTED = 0x1
_BEST_DEFLATE = 1032
"""A byte of deflate never stands for more."""
_REMEDY = "give an .npz file written by numpy.savez, without pickles"


class Archive:
    """The directory of an .npz file that is open for reading; names are those of its arrays."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(file)
        self._file_bytes = file.seek(0, 2)
        members = self._zip.infolist()
        self._members = {info.filename.removesuffix(_SUFFIX): info for info in members if _is_array(info)}
        self.names = list(self._members)
        others = [info.filename for info in members if not _is_array(info)]
        if others and not self._members:
            raise DataError(
                f"cannot read {path} (a zip archive of other files: {listed(others)}; no arrays, {_SUFFIX}); {_REMEDY}"
            )
        repeated = [name for name, count in Counter(info.filename for info in members).items() if count > 1]
        if repeated:
            raise DataError(f"cannot read {path} (it holds {listed(repeated)} more than once); {_REMEDY}")

    def read(self, name: str) -> Array:
        """The array of that name.

        Raises:
            DataError: it cannot be one that NumPy wrote without pickles.
        """
        info = self._members[name]
        self._check(name, info)
        with self._zip.open(info) as stream:
            shape, in_fortran_order, dtype = _header(stream)
            if dtype.hasobject:
                raise DataError(f"cannot read {self._path} ({shown(name)} holds Python objects); {_REMEDY}")
            claimed, held = math.prod(shape) * dtype.itemsize, info.file_size - stream.tell()
            if claimed != held or min(shape, default=0) < 0:
                raise DataError(
                    f"cannot read {self._path} ({shown(name)} claims {claimed} bytes and holds {held}); copy it again"
                )
            content = stream.read(claimed)
            rest = stream.read(1)  # the end of the member, where its checksum is compared
        if len(content) != claimed or rest:
            raise DataError(f"cannot read {self._path} ({shown(name)} is cut off); copy it again")
        return np.ndarray(shape, dtype, buffer=content, order="F" if in_fortran_order else "C")

    def _check(self, name: str, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & _ENCRYPTED:
            raise DataError(f"cannot read {self._path} ({shown(name)} is encrypted); decrypt it, or {_REMEDY}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            method = zipfile.compressor_names.get(info.compress_type, "unknown")  # type: ignore[attr-defined]
            raise DataError(f"cannot read {self._path} ({shown(name)} is compressed by {method}); {_REMEDY}")
        most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else _BEST_DEFLATE)
        if info.compress_size > self._file_bytes or info.file_size > most:
            raise DataError(
                f"cannot read {self._path} ({shown(name)} claims {info.file_size} bytes, more than the file can hold); "
                "copy it again"
            )


def read_npz(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> dict[str, Array]:
    """Arrays of an .npz file by name.

    Args:
        choose: is given the names of all arrays, and returns those to read.

    Raises:
        DataError: the file cannot be read, or is none; or choose raises it.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"cannot read {path} (no regular file); {_REMEDY}")
        with path.open("rb") as file:
            archive = Archive(path, file)
            return {name: archive.read(name) for name in choose(archive.names)}
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"cannot read {path} (no such file); {_REMEDY}") from error
    except MemoryError as error:
        raise DataError(f"cannot read {path} (it does not fit into memory); give fewer or smaller images") from error
    except Exception as error:  # a damaged file may break the readers of zip and .npy in any way
        raise DataError(f"cannot read {path} ({shown(one_line(error))}); {_REMEDY}") from error


def _is_array(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(_SUFFIX)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version} of .npy, which numbers do not need")
