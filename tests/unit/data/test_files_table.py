"""data=table: files as samples, divided for training and testing, with or without a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.files_table import load_table, read_rows
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.party.inputs import with_target_constants
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.schema_file import text_of

SCHEMA = TableSchema(
    columns=(
        Column(name="x", kind="numeric", centre=50.0, scale=20.0),
        Column(name="c", kind="categorical", categories=("p", "q")),
        Column(name="y", role="target", kind="categorical", categories=("low", "high", "none here")),
    )
)


def csv(path: Path, count: int = 200, seed: int = 0) -> Path:
    """x in 0..100, c at random, y by x."""
    generator = np.random.default_rng(seed)
    rows = [(x, generator.choice(["p", "q"]), "high" if x > 50 else "low") for x in generator.uniform(0, 100, count)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("x,c,y\n" + "".join(f"{x:.6f},{c},{y}\n" for x, c, y in rows))
    return path


def config(path: Path, target: Any = None, **options: Any) -> DataConfig:
    return DataConfig(name="table", path=str(path), target=target, options=options)


def numbers(path: Path, centre: float, scale: float) -> DataConfig:
    """x is predicted."""
    return DataConfig(name="table", path=str(path), target="x", target_mean=(centre,), target_std=(scale,))


def with_schema(folder: Path) -> str:
    path = folder / "schema.yaml"
    path.write_text(text_of(SCHEMA))
    return str(path)


def test_one_file_is_divided_by_its_rows(tmp_path: Path) -> None:
    """Each row is on one side, the share is about what was asked for, and it is the same every time."""
    path = csv(tmp_path / "t.csv")
    bundle = load_table(config(path, "y", test_fraction=0.2))
    ids = torch.cat([bundle.train.sample_ids, bundle.test.sample_ids])
    assert sorted(ids.tolist()) == list(range(200))
    assert 20 <= len(bundle.test) <= 60
    assert bundle.class_names == ("high", "low")
    assert bundle.train.inputs.dtype == torch.float32
    assert bundle.train.inputs.shape[1:] == (3,)
    again = load_table(config(path, "y", test_fraction=0.2))
    assert torch.equal(again.test.sample_ids, bundle.test.sample_ids)
    lines = path.read_text().splitlines()[1:]
    expected = [bundle.class_names.index(lines[number].rpartition(",")[2]) for number in bundle.test.sample_ids]
    assert bundle.test.targets.tolist() == expected


def test_order_of_rows_does_not_move_them(tmp_path: Path) -> None:
    """By the values of a row, not by its number: a sorted table is divided as it was before."""
    path = csv(tmp_path / "t.csv")
    head, *lines = path.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([head, *reversed(lines)]) + "\n")
    options = {"schema_file": with_schema(tmp_path)}
    first, second = (load_table(config(file, **options)).test.inputs for file in (path, turned))
    assert torch.equal(first, second.flip(0))


def test_a_folder_has_train_and_test(tmp_path: Path) -> None:
    """Constants of a simulation come from both files; nothing is moved between them."""
    csv(tmp_path / "data" / "train.csv", 60)
    csv(tmp_path / "data" / "test.csv", 30, seed=1)
    bundle = load_table(config(tmp_path / "data", "y"))
    assert (len(bundle.train), len(bundle.test)) == (60, 30)
    everything = torch.cat([bundle.train.inputs, bundle.test.inputs])[:, 0]
    assert everything.mean() == pytest.approx(0, abs=0.06)
    assert everything.std(correction=0) == pytest.approx(1, rel=0.06)


def test_a_schema_is_what_counts(tmp_path: Path) -> None:
    """Constants and classes are those of the file, also classes that this party lacks; its columns are compared."""
    bundle = load_table(config(csv(tmp_path / "t.csv"), schema_file=with_schema(tmp_path)))
    assert bundle.class_names == ("low", "high", "none here")
    assert bundle.columns == SCHEMA.public()
    assert bundle.notes == ()


def test_without_a_schema_it_is_said(tmp_path: Path) -> None:
    """Whose rows the constants come from stands in the notes of the run."""
    notes = load_table(config(csv(tmp_path / "t.csv"), "y")).notes
    assert notes[0] == (
        "no schema_file: kinds, categories and constants are those of the whole table, both parties' rows (simulation "
        "only)"
    )


WRONG: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no target": (None, {}, ConfigError, "data.target: name the column"),
    "another target": (
        "x",
        {"schema_file": "schema.yaml"},
        ConfigError,
        r"data.target: x is not what .* predicts \(y\)",
    ),
    "two ways": (
        None,
        {"schema_file": "schema.yaml", "ignore": ["c"]},
        ConfigError,
        "data.options.ignore: has no effect",
    ),
    "no schema": (None, {"schema_file": "none.yaml"}, ConfigError, "cannot read the schema"),
    "two classes": (("c", "y"), {}, ConfigError, "task=classification predicts one column; set task=multilabel or"),
    "numbers as classes": ("x", {}, DataError, r"more than 50 different numbers; are they to be learned by task=regr"),
    "unknown option": ("y", {"seperator": "tab"}, ConfigError, "did you mean separator"),
    "unknown separator": ("y", {"separator": ";"}, ConfigError, "data.options.separator: Input should be 'comma'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_that_cannot_be_used(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By key, before any row is read."""
    target, options, kind, message = WRONG[case]
    monkeypatch.chdir(tmp_path)
    with_schema(tmp_path)
    with pytest.raises(kind, match=message):
        load_table(config(csv(tmp_path / "t.csv"), target, **options))


def test_numbers_to_predict(tmp_path: Path) -> None:
    """In their own units; their public scale is that of the schema, which the configuration may repeat, not change."""
    path = csv(tmp_path / "t.csv")
    bundle = load_table(numbers(path, 0.0, 1.0), "regression")
    assert bundle.target_constants is not None
    (centre,), (scale,) = bundle.target_constants
    values = torch.cat([bundle.train.targets, bundle.test.targets])
    assert (values.dtype, values.shape, bundle.class_names) == (torch.float32, (200, 1), ("x",))
    assert (values.mean().item(), values.std().item()) == pytest.approx((centre, scale), rel=0.1)
    assert with_target_constants(numbers(path, 0.0, 1.0), bundle) == numbers(path, centre, scale)
    load_table(numbers(path, centre, scale), "regression")
    with pytest.raises(ConfigError, match=r"other constants; leave both out, or set data.target_mean=\[[\d.]+\] data"):
        load_table(numbers(path, centre + 1, scale), "regression")


def test_labels_to_predict(tmp_path: Path) -> None:
    """Columns of yes and no, one label each."""
    path = tmp_path / "t.csv"
    rows = [f"{k},{'yes' if k % 2 else 'no'},{int(k % 3 == 0)}" for k in range(60)]
    path.write_text("x,a,b\n" + "\n".join(reversed(rows)) + "\n")
    bundle = load_table(config(path, ["a", "b"]), "multilabel")
    assert bundle.class_names == ("a", "b")
    assert sorted(map(tuple, bundle.train.targets.unique(dim=0).tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    with pytest.raises(ConfigError, match="task=multilabel predicts several columns"):
        load_table(config(path, "a"), "multilabel")


def test_a_schema_about_another_task(tmp_path: Path) -> None:
    """What the schema predicts decides."""
    path = csv(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match=r"task=regression, but what .* predicts \(y\) makes it task=classification"):
        load_table(config(path, schema_file=with_schema(tmp_path)), "regression")


def test_folders_that_are_no_table(tmp_path: Path) -> None:
    """One train and one test, or a file."""
    csv(tmp_path / "data" / "train.csv")
    with pytest.raises(DataError, match=r"0 files called test.csv or test.parquet"):
        load_table(config(tmp_path / "data", "y"))
    with pytest.raises(ConfigError, match=r"data.path: data set 'table' needs it"):
        load_table(DataConfig(name="table", target="y"))


def test_both_files_of_a_folder_have_the_same_columns(tmp_path: Path) -> None:
    """Which differ is said."""
    csv(tmp_path / "data" / "train.csv")
    (tmp_path / "data" / "test.csv").write_text("x,c,z,y\n1,p,2,low\n")
    with pytest.raises(DataError, match="have different columns: 'z'"):
        load_table(config(tmp_path / "data", "y"))


def test_rows_to_predict_need_no_target(tmp_path: Path) -> None:
    """New customers are what the schema makes of them; whatever their column of the target holds is not read."""
    schema_file = with_schema(tmp_path)
    new = tmp_path / "new.csv"
    new.write_text("c,x\nq,70\np,50\n")
    rows, _ = read_rows(new, config(tmp_path, schema_file=schema_file))
    assert rows.tolist() == [[1, 0, 1], [0, 1, 0]]
    new.write_text("c,x,y\nq,70,\n")
    rows, _ = read_rows(new, config(tmp_path, schema_file=schema_file))
    assert rows.tolist() == [[1, 0, 1]]
    with pytest.raises(ConfigError, match="predicting rows needs the schema"):
        read_rows(new, config(tmp_path))
