"""Samples beside the data set of a party, without labels: what is predicted, and what public questions are about."""

from __future__ import annotations

from pathlib import Path

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.files_table import read_rows
from smule_crypten.data.inputs import Inputs, Scale, read_inputs
from smule_crypten.data.samples import DataBundle, Samples, random_positions

_SOME = 256
"""Samples that tell the scale of those that are not in memory."""


def read_further(path: Path, config: PartyConfig | RunConfig, bundle: DataBundle) -> Inputs:
    """By the schema of the party's own table, or as inputs of the shape and scale of its own, before any public map.

    Args:
        path: a table where the party's own data are one, else an .npz file or a folder (data/inputs.py).
        bundle: the party's own data.

    Raises:
        DataError: they cannot be read, or the network cannot take them.
    """
    if config.data.name == "table":
        rows_NF, notes = read_rows(path, config.data)
        return Inputs(rows_NF, notes=notes)
    trained_on, origin = bundle.train, bundle.origin
    return read_inputs(
        path,
        bundle.input_shape if origin is None else origin.input_shape,
        trained_on=trained_on.dtype if origin is None else origin.dtype,
        scale=_scale_of(trained_on) if origin is None else Scale.before(origin),
        layout=config.data.options.get("layout"),
    )


def _scale_of(train: Samples) -> Scale | None:
    """Of all that are in memory, else of some."""
    some = train if train.is_in_memory else train.select(random_positions(len(train), _SOME)).in_memory()
    return Scale.of(some.inputs)
