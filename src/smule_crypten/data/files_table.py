"""data=table: the rows of a CSV or Parquet file as samples, by a public schema (tables/)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig
from smule_crypten.config.task_limits import scales_targets
from smule_crypten.data.lazy_samples import Keeping, LazySamples
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.metric_names import TaskName
from smule_crypten.sources.lazy_inputs import LazyInputs
from smule_crypten.sources.mapped_array import MappedArray
from smule_crypten.tables.drafting import derive
from smule_crypten.tables.reading import Table, read_table
from smule_crypten.tables.schema import MISSING_VALUES, Kind, TableSchema, composed
from smule_crypten.tables.schema_file import read_schema
from smule_crypten.tables.source import SUFFIXES, CsvFormat, TableFile

_OF_NO_SCHEMA = ("ignore", "missing_values")
_KINDS: dict[TaskName, Kind] = {"classification": "categorical", "multilabel": "boolean", "regression": "numeric"}
"""What the columns to predict hold."""


class TableOptions(CsvFormat):
    schema_file: str | None = None
    """The public schema, a file as smule-table drafts it; relative to the file of a side. Null, in a simulation only,
    takes kinds, categories and constants from the whole table."""
    test_fraction: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Share of the rows of one file that is held out for testing; which ones follows from their values, so that rows
    which are alike are never on both sides."""
    ignore: tuple[str, ...] = Field(default=(), strict=False)
    """Without schema_file: columns to leave out."""
    missing_values: tuple[str, ...] = Field(default=MISSING_VALUES, strict=False)
    """Without schema_file: texts that stand for a missing value."""

    @property
    def csv(self) -> CsvFormat:
        return CsvFormat(**{name: getattr(self, name) for name in CsvFormat.model_fields})


def load_table(config: DataConfig, task: TaskName = "classification") -> DataBundle:
    """One file, divided by the values of its rows, or a folder with train and test; float32 (N, features).

    Raises:
        ConfigError: an option is wrong, the schema cannot be used or is about another task, no column to predict is
            named, or the constants of regression targets are not those of the schema.
        DataError: a file cannot be read, or does not fit the schema; column and row are named.
    """
    options = parse_options(TableOptions, config.options, "data.options")
    files = [TableFile.open(path, options.csv) for path in _paths(config)]
    if options.schema_file is None:
        schema, notes = _derived(files, config, options, task)
    else:
        schema, notes = _given(Path(options.schema_file).expanduser(), config, options, task), []
    if task == "regression":
        _require_constants(schema, config)
    kept_bytes = Keeping.of(config).most_bytes
    tables = [read_table(file, schema, kept_bytes=kept_bytes) for file in files]
    if len(tables) == 2:
        train, test = (_samples(table, np.ones(len(table.places), bool)) for table in tables)
    else:
        is_test_N = tables[0].places < options.test_fraction
        train, test = _samples(tables[0], ~is_test_N), _samples(tables[0], is_test_N)
    notes += [note for table in tables for note in table.notes]
    constants = _target_constants(schema) if schema.task == "regression" else None
    return DataBundle(train, test, schema.class_names, tuple(notes), schema.public(), constants)


def read_rows(path: Path, config: DataConfig) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The rows of a file to predict, (N, features) float32, and what was changed. Columns of targets need not be there.

    Raises:
        ConfigError, DataError: as load_table.
    """
    options = parse_options(TableOptions, config.options, "data.options")
    if options.schema_file is None:
        raise ConfigError("data.options.schema_file: predicting rows needs the schema that the network was trained by")
    schema = read_schema(Path(options.schema_file).expanduser())
    table = read_table(TableFile.open(path, options.csv), schema, with_targets=False)
    return torch.from_numpy(table.features), table.notes


def is_table(path: Path) -> bool:
    """Whether a file is read as a table, by its name."""
    return path.suffix.lower() in SUFFIXES


def _paths(config: DataConfig) -> list[Path]:
    """The file, or those called train and test in a folder."""
    if config.path is None:
        raise ConfigError("data.path: data set 'table' needs it; set data.path to a CSV or Parquet file")
    path = Path(config.path).expanduser()
    if not path.is_dir():
        return [path]
    found = {split: sorted(file for file in path.glob(f"{split}.*") if is_table(file)) for split in ("train", "test")}
    for split, files in found.items():
        if len(files) != 1:
            raise DataError(
                f"{path}: {len(files)} files called {split}.csv or {split}.parquet; a folder holds one train and one "
                f"test, or set data.path to a file"
            )
    return [found["train"][0], found["test"][0]]


def _derived(
    files: list[TableFile], config: DataConfig, options: TableOptions, task: TaskName
) -> tuple[TableSchema, list[str]]:
    if not config.targets:
        raise ConfigError("data.target: name the column of the table that is to be predicted")
    if len(config.targets) > 1 and task == "classification":
        raise ConfigError(
            "data.target: task=classification predicts one column; set task=multilabel or task=regression"
        )
    if len(config.targets) == 1 and task == "multilabel":
        raise ConfigError("data.target: task=multilabel predicts several columns; of one, set task=classification")
    schema, notes = derive(
        files,
        config.targets,
        ignore=options.ignore,
        missing_values=tuple(map(composed, options.missing_values)),
        target_kind=_KINDS[task],
    )
    found = "kinds, categories and constants are those of the whole table, both parties' rows (simulation only)"
    return schema, [f"no schema_file: {found}", *notes]


def _given(path: Path, config: DataConfig, options: TableOptions, task: TaskName) -> TableSchema:
    useless = [name for name in _OF_NO_SCHEMA if getattr(options, name) != TableOptions.model_fields[name].default]
    if useless:
        raise ConfigError(f"data.options.{useless[0]}: has no effect beside schema_file; say it in {path}")
    schema = read_schema(path)
    names = tuple(column.name for column in schema.targets)
    if config.targets and set(map(composed, config.targets)) != set(names):
        raise ConfigError(
            f"data.target: {config.target} is not what {path} predicts ({', '.join(names)}); leave it out"
        )
    if schema.task != task:
        raise ConfigError(
            f"task={task}, but what {path} predicts ({', '.join(names)}) makes it task={schema.task}; set that"
        )
    return schema


def _require_constants(schema: TableSchema, config: DataConfig) -> None:
    """What the configuration says of the scale of targets, if it does, must be what the schema says."""
    if not scales_targets(config):
        return
    constants, count = _target_constants(schema), len(schema.targets)
    given = config.target_mean, config.target_std
    if constants != tuple(values * count if len(values) == 1 else values for values in given):
        centres, scales = (",".join(map(repr, values)) for values in constants)
        raise ConfigError(
            f"data.target_mean, data.target_std: the columns to predict have other constants; leave both out, or set "
            f"data.target_mean=[{centres}] data.target_std=[{scales}]"
        )


def _target_constants(schema: TableSchema) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each target, by which a network learns them."""
    pairs = [(column.centre or 0.0, column.scale or 1.0) for column in schema.targets]
    return tuple(centre for centre, _ in pairs), tuple(scale for _, scale in pairs)


def _samples(table: Table, chosen_N: Any) -> Samples:
    positions = np.flatnonzero(chosen_N)
    targets: Any = table.targets
    targets_N, positions_N = torch.from_numpy(targets[positions]), torch.from_numpy(positions)
    if table.content is None:
        return Samples(torch.from_numpy(table.features[positions]), targets_N, positions_N)
    source = MappedArray(table.features, torch.from_numpy, table.content)
    return LazySamples(LazyInputs(source, positions_N), targets_N, positions_N)
