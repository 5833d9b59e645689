"""data=series: series in time of one or several channels, from .ts files of the UCR and UEA archives, or .npz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.files_ts import Series, TsFile, read_ts
from smule_crypten.data.loaders_npz import SPLITS, read_splits
from smule_crypten.data.names import listed, printable
from smule_crypten.data.reader_options import NameOptions, path_of
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.data.series import filled_gaps, of_one_length
from smule_crypten.data.target_arrays import as_targets, check_alike, class_numbers
from smule_crypten.errors import DataError

_ENDINGS = ("_TRAIN.ts", "_TEST.ts")
_WANTED = "a folder with NAME_TRAIN.ts and NAME_TEST.ts, the path of such a pair without these endings, or an .npz file"


class SeriesOptions(NameOptions):
    length: int | None = Field(default=None, ge=1)
    """Time steps of each series: shorter ones are filled at their end with data.mean, which is 0 to the network. Null
    needs series that all have one length."""
    missing: Literal["refuse", "interpolate"] = "refuse"
    """What to do with a series that lacks values: refuse it, or draw a straight line between those that are there."""


@dataclass(frozen=True, eq=False)
class _Split:
    """series (N) of (channels, time); targets as in target_arrays.py."""

    name: str
    series: Sequence[Series]
    targets: torch.Tensor


def load_series(config: DataConfig) -> DataBundle:
    """Series (N, channels, time), float32.

    A .ts file names its classes itself; those of the training file count, unless data.options.class_names is given.

    Raises:
        DataError: a file is missing or damaged; series lack values or differ in length, and no option says what to do.
    """
    options = parse_options(SeriesOptions, config.options, "data.options")
    path = path_of(config, _WANTED)
    if path.suffix.lower() == ".npz":
        splits = _of_arrays(path)
        names = options.names(splits[0].targets, "series")
    else:
        splits, names = _of_pair(*_pair(path), options)
    check_alike(splits[0].targets, splits[1].targets, "series")
    notes: list[str] = []
    parts = []
    for split in splits:
        series, filled = filled_gaps(split.series, split.name, interpolate=options.missing == "interpolate")
        parts.append(series)
        if filled:
            notes.append(f"{split.name}: {filled} of {len(series)} series lacked values, which were interpolated")
    longest = max(one.shape[1] for part in parts for one in part)
    bundled = []
    for split, series in zip(splits, parts, strict=True):
        inputs, shorter = of_one_length(series, options.length, longest, config.mean)
        bundled.append(Samples(torch.from_numpy(inputs), split.targets, torch.arange(len(inputs))))
        if shorter:
            notes.append(f"{split.name}: {shorter} of {len(series)} series were filled to {inputs.shape[2]} time steps")
    return DataBundle(bundled[0], bundled[1], names, tuple(notes))


def _of_arrays(path: Path) -> list[_Split]:
    """Arrays of (N, channels, time), or (N, time) for one channel."""
    arrays, splits = read_splits(path, "series"), []
    for name in SPLITS:
        series = arrays[f"x_{name}"]
        if series.ndim not in (2, 3):
            raise DataError(
                f"data set 'series': x_{name} has shape {series.shape}; save (N, channels, time), or (N, time)"
            )
        series = series[:, None] if series.ndim == 2 else series
        targets = as_targets(arrays[f"y_{name}"], f"data set 'series': y_{name}")
        if len(series) != len(targets):
            raise DataError(f"data set 'series': {len(series)} series in x_{name}, {len(targets)} targets in y_{name}")
        splits.append(_Split(name, list(series.astype(np.float32)), targets))
    return splits


def _pair(path: Path) -> tuple[Path, Path]:
    """The files of training and test.

    Raises:
        DataError: there are none, or several.
    """
    if path.is_dir():
        found = sorted(file.name.removesuffix(_ENDINGS[0]) for file in path.glob(f"*{_ENDINGS[0]}"))
        if len(found) != 1:
            several = f"several pairs of files ({listed(found)}); set data.path to one of them, such as"
            what = f"{several} {path / found[0]}" if found else f"no file *{_ENDINGS[0]}; set data.path to {_WANTED}"
            raise DataError(f"data set 'series': {printable(str(path))} holds {what}")
        path = path / found[0]
    stem = path.name
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    train, test = (path.with_name(f"{stem}{ending}") for ending in _ENDINGS)
    missing = [file.name for file in (train, test) if not file.is_file()]
    if missing:
        raise DataError(
            f"data set 'series': {printable(str(path.parent))} misses {listed(missing)}; set data.path to {_WANTED}"
        )
    return train, test


def _of_pair(train: Path, test: Path, options: SeriesOptions) -> tuple[list[_Split], tuple[str, ...]]:
    """Both splits, and the names of the classes or targets."""
    files = [read_ts(path) for path in (train, test)]
    if len({len(file.series[0]) for file in files}) > 1:
        counts = " and ".join(str(len(file.series[0])) for file in files)
        raise DataError(
            f"{printable(str(train))} and {printable(str(test))} have {counts} channels; give a matching pair"
        )
    names = options.class_names or files[0].header.class_names
    if names is None and not files[0].header.has_targets:
        raise DataError(
            f"{printable(str(train))} has neither @classLabel true nor @targetLabel true; name the classes by "
            "data.options.class_names"
        )
    splits = [
        _Split(name, file.series, _targets(file, names, path))
        for name, file, path in zip(SPLITS, files, (train, test), strict=True)
    ]
    return splits, names or options.names(splits[0].targets, "series")


def _targets(file: TsFile, names: Sequence[str] | None, path: Path) -> torch.Tensor:
    if not file.header.has_targets:
        return class_numbers(file.labels, names or (), printable(str(path)))
    try:
        numbers = np.array(file.labels).astype(np.float64)
    except ValueError:
        raise DataError(f"{printable(str(path))}: a target is no number; copy the file again") from None
    return as_targets(numbers, printable(str(path)))
