"""Series in time as one array: gaps filled, and all of one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smule_crypten.data.files_ts import Series
from smule_crypten.errors import ConfigError, DataError


def filled_gaps(series: Sequence[Series], split: str, *, interpolate: bool) -> tuple[list[Series], int]:
    """The series without missing values, NaN, and how many of them had some.

    A gap is filled by a straight line between the values beside it, at an end by the nearest value, in each channel by
    itself.

    Raises:
        DataError: there are gaps, and interpolate is false; or a channel has no value at all.
    """
    lacking = [number for number, one in enumerate(series) if np.isnan(one).any()]
    if lacking and not interpolate:
        raise DataError(
            f"data set 'series', split {split!r}: sample {lacking[0]} lacks values, the first of {len(lacking)} such "
            "samples; set data.options.missing=interpolate, or repair or remove them"
        )
    filled = list(series)
    for number in lacking:
        filled[number] = np.stack([_interpolated(channel, number, split) for channel in series[number]])
    return filled, len(lacking)


def _interpolated(values_T: npt.NDArray[np.float32], number: int, split: str) -> npt.NDArray[np.float32]:
    is_there, steps = ~np.isnan(values_T), np.arange(len(values_T))
    if not is_there.any():
        raise DataError(
            f"data set 'series', split {split!r}: sample {number} has a channel without any value; remove the sample"
        )
    return np.interp(steps, steps[is_there], values_T[is_there]).astype(np.float32)


def of_one_length(
    series: Sequence[Series], length: int | None, longest: int, mean: Sequence[float]
) -> tuple[npt.NDArray[np.float32], int]:
    """The series as (N, channels, time), and how many of them were filled at their end.

    Args:
        length: time steps; None takes that of all series.
        longest: time steps of the longest series of the data set.
        mean: what to fill with, one value or one a channel.

    Raises:
        DataError: they have different lengths, and length does not say what to do; or one is longer.
        ConfigError: mean has another number of values.
    """
    lengths = np.array([one.shape[1] for one in series])
    if length is None and lengths.min() != longest:
        raise DataError(
            f"data set 'series': series have {lengths.min()} to {longest} time steps; set "
            f"data.options.length={longest} or more, alike at both parties, to fill the shorter ones at their end"
        )
    wanted = longest if length is None else length
    if longest > wanted:
        raise DataError(
            f"data set 'series': the longest series has {longest} time steps, data.options.length is {wanted}; "
            "raise it at both parties, or cut the series"
        )
    channels = len(series[0])
    if len(mean) not in (1, channels):
        raise ConfigError(f"data.mean: {len(mean)} values for series with {channels} channel(s); give one, or one each")
    filled = np.empty((len(series), channels, wanted), dtype=np.float32)
    filled[:] = np.asarray(mean, dtype=np.float32)[:, None]
    for row, one in zip(filled, series, strict=True):
        row[:, : one.shape[1]] = one
    return filled, int((lengths < wanted).sum())
