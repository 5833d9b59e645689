"""Rows as inputs: held against a computation by hand, and against scikit-learn fitted on the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from table_files import CSV, SCHEMA, read, write

from smule_crypten.tables import reading, source
from smule_crypten.tables.encoder import TableEncoder
from smule_crypten.tables.schema import Column, TableSchema


def test_by_hand(tmp_path: Path) -> None:
    """(value - centre) / scale, -1 and +1, one input a category, and inputs that tell what is missing."""
    table = read(write(tmp_path, CSV))
    assert TableEncoder(SCHEMA).feature_names == (("age", "owns", "age is missing", "sex=f", "sex=m", "sex is missing"))
    expected = [[1.0, 1, 0, 0, 1, 0], [0.0, -1, 1, 1, 0, 0], [-0.45, 1, 0, 0, 0, 1]]
    assert table.features.dtype == np.float32
    assert np.allclose(table.features, expected)
    assert table.targets is not None
    assert table.targets.tolist() == [1, 0, 0]


def test_as_scikit_learn_fitted(tmp_path: Path) -> None:
    """With the mean and deviation of the rows as constants, rows are what StandardScaler and OneHotEncoder make."""
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(
        {"x": generator.normal(1e6, 3, 200), "c": generator.choice(["p", "q", "r"], 200), "y": [0, 1] * 100}
    )
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    schema = TableSchema(
        columns=(
            Column(name="x", kind="numeric", centre=float(frame.x.mean()), scale=float(frame.x.std(ddof=0))),
            Column(name="c", kind="categorical", categories=("p", "q", "r")),
            Column(name="y", role="target", kind="boolean"),
        )
    )
    expected = np.hstack(
        [
            StandardScaler().fit_transform(frame[["x"]]),
            OneHotEncoder(sparse_output=False).fit_transform(frame[["c"]]),
        ]
    )
    assert np.allclose(read(path, schema).features, expected, atol=1e-5)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(values=st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=30), centre=st.floats(-1e3, 1e3))
def test_numbers_of_any_rows(
    values: list[float | None], centre: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By NumPy: what is missing counts as the centre, and what is far out is cut to the limit."""
    text = "x,y\n" + "".join(f"{'' if value is None else repr(value)},1\n" for value in values)
    schema = TableSchema(
        columns=(
            Column(name="x", kind="numeric", centre=centre, scale=7.0, missing=True),
            Column(name="y", role="target", kind="boolean"),
        ),
        limit=4.0,
    )
    features = read(write(tmp_path_factory.mktemp("rows"), text), schema).features
    numbers = np.array([np.nan if value is None else value for value in values])
    expected = np.nan_to_num(np.clip((numbers - centre) / 7.0, -4, 4))
    assert np.allclose(features[:, 0], expected, atol=1e-6)
    assert (features[:, 1] == np.isnan(numbers)).all()


def test_targets_of_each_task(tmp_path: Path) -> None:
    """Labels as 0 and 1, regression targets in their own units, one column each."""
    path = write(tmp_path, "x,a,b,n\n1,yes,no,3.5\n2,0,TRUE,-2\n")
    feature = Column(name="x", kind="numeric", centre=0.0, scale=1.0)
    labels = [Column(name=name, role="target", kind="boolean") for name in "ab"]
    number = Column(name="n", role="target", kind="numeric", centre=1.0, scale=2.0)
    of_labels, of_number = (
        read(path, TableSchema(columns=(feature, *targets))).targets for targets in (labels, [number])
    )
    assert of_labels is not None
    assert (of_labels.dtype, of_labels.tolist()) == (np.float32, [[1, 0], [0, 1]])
    assert of_number is not None
    assert (of_number.dtype, of_number.tolist()) == (np.float32, [[3.5], [-2]])


def test_chunks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is read in parts, and each part is encoded by the same constants and divided by the same rule."""
    rows = "".join(f"{number},{number % 37 + 0.5},{'fm'[number % 2]},no,No\n" for number in range(101))
    path = write(tmp_path, f"id,age,sex,owns,plan\n{rows}")
    whole = read(path)
    monkeypatch.setattr(source, "CHUNK_ROWS", 7)
    parts = read(path)
    assert (parts.features == whole.features).all()
    assert (parts.places == whole.places).all()


def test_rows_that_are_alike_have_one_place(tmp_path: Path) -> None:
    """No row of the training part stands in the test part a second time; places are spread evenly."""
    rows = [f"{number % 500},m,no,{'Yes' if number % 3 else 'No'}\n" for number in range(1000)]
    places = read(write(tmp_path, "age,sex,owns,plan\n" + "".join(rows))).places
    assert (places[:500] == places[500:]).all()
    assert len(np.unique(places)) == 500
    assert np.histogram(places, 4, (0, 1))[0] == pytest.approx([250] * 4, rel=0.25)


def test_columns_in_another_order_are_the_same_rows(tmp_path: Path) -> None:
    """Columns are known by their names: order, a byte order mark, quotes and spaces make no difference."""
    plain = read(write(tmp_path, CSV))
    other = '\ufeffplan, sex ,owns,"age"\r\nYes,"m",yes, 50\r\n"No",f,no,\r\nNo,,1,35.50\r\n'
    moved = read(write(tmp_path, other, "other.csv"))
    assert (moved.features == plain.features).all()
    assert (moved.places == plain.places).all()
    assert moved.targets is not None
    assert plain.targets is not None
    assert (moved.targets == plain.targets).all()


def test_the_memory_of_a_table_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than fit are refused while they are read, with what to do."""
    monkeypatch.setattr(reading, "MOST_BYTES", 4 * 6 * 2)
    with pytest.raises(reading.DataError, match=r"more than 2 rows of 6 inputs.*give fewer rows, or fewer columns"):
        read(write(tmp_path, CSV))
