"""Reading the .ts files of the UCR and UEA archives: series in time with a label, as text, one sample a line.

A header of lines `@key value`, then `@data`, then for each sample its channels, with `:` between them and after the
last one, the values of a channel with `,` between them, and the label. `?` and `NaN` stand for what is missing. Lines
that begin with `#` or `%` are comments. Series with time stamps, (time, value) in pairs, are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smule_crypten.config.options import one_line
from smule_crypten.data.names import printable, shown
from smule_crypten.errors import DataError

Series = npt.NDArray[np.float32]

_MISSING = "?"
_COMMENTS = ("#", "%")
_REMEDY = "give a .ts file of the UCR or UEA archive, or an .npz file"


@dataclass(frozen=True)
class Header:
    """What stands before `@data`, as far as it says how to read what follows; None where it does not say.

    Attributes:
        class_names: the labels that there are, in the order of the file.
        has_targets: whether samples have numbers in place of labels.
    """

    class_names: tuple[str, ...] | None
    has_targets: bool
    channels: int | None
    length: int | None


@dataclass(frozen=True, eq=False)
class TsFile:
    """The samples of a file.

    Attributes:
        series: (N) arrays (channels, time) of one number of channels; NaN stands for what is missing.
        labels: (N) as they are written.
    """

    header: Header
    series: list[Series]
    labels: list[str]


def read_ts(path: Path) -> TsFile:
    """Read a .ts file.

    Raises:
        DataError: it cannot be read, is no such file, or is damaged; the message names the line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = enumerate(file, start=1)
            header = _header(lines, path)
            series, labels = _samples(lines, header, path)
    except OSError as error:
        raise DataError(f"cannot read {printable(str(path))} ({error.strerror}); {_REMEDY}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {printable(str(path))} (it is no text in UTF-8); {_REMEDY}") from error
    if not series:
        raise DataError(f"{printable(str(path))} holds no series after @data; {_REMEDY}")
    return TsFile(header, series, labels)


def _header(lines: Iterable[tuple[int, str]], path: Path) -> Header:
    found: dict[str, tuple[str, ...]] = {}
    for number, line in lines:
        words = line.split()
        if not words or words[0].startswith(_COMMENTS):
            continue
        if not words[0].startswith("@"):
            raise _damaged(path, number, "stands before @data, and does not begin with @")
        key = words[0][1:].lower()
        if key == "data":
            return _understood(found, path)
        found[key] = tuple(words[1:])
    raise DataError(f"{printable(str(path))} has no line @data; {_REMEDY}")


def _understood(found: dict[str, tuple[str, ...]], path: Path) -> Header:
    def says(key: str) -> bool:
        return [word.lower() for word in found.get(key, ())[:1]] == ["true"]

    def number(key: str) -> int | None:
        words = found.get(key, ())
        if not words or not words[0].isdecimal():
            return None
        return int(words[0])

    if says("timestamps"):
        raise DataError(f"{printable(str(path))} has time stamps; resample to equal steps and leave them out")
    return Header(
        class_names=found["classlabel"][1:] if says("classlabel") else None,
        has_targets=says("targetlabel"),
        channels=1 if says("univariate") else number("dimensions"),
        length=number("serieslength") if says("equallength") else None,
    )


def _samples(lines: Iterator[tuple[int, str]], header: Header, path: Path) -> tuple[list[Series], list[str]]:
    series, labels, channels = [], [], header.channels
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith(_COMMENTS):
            continue
        *texts, label = line.split(":")
        sample = _channels(texts, path, number)
        channels = len(sample) if channels is None else channels
        if len(sample) != channels:
            raise _damaged(path, number, f"has {len(sample)} channels in place of {channels}")
        if header.length not in (None, sample.shape[1]):
            raise _damaged(path, number, f"has {sample.shape[1]} time steps, the header says {header.length}")
        series.append(sample)
        labels.append(label.strip())
    return series, labels


def _channels(texts: list[str], path: Path, number: int) -> Series:
    """(channels, time) of one line."""
    if not texts:
        raise _damaged(path, number, "has no : before its label")
    rows = [text.replace(_MISSING, "nan").split(",") for text in texts]
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise _damaged(path, number, f"has channels of {min(lengths)} and of {max(lengths)} time steps")
    try:
        return np.array(rows).astype(np.float64).astype(np.float32)
    except ValueError as error:
        raise _damaged(path, number, f"holds what is no number ({shown(one_line(error))})") from None


def _damaged(path: Path, number: int, what: str) -> DataError:
    return DataError(f"{printable(str(path))}: line {number} {what}; copy the file again, or {_REMEDY}")
