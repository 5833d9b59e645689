"""A schema from a table: whole for a simulation, without values of the data as a draft."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from table_files import write

from smule_crypten import configure
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.tables import source
from smule_crypten.tables.drafting import derive, draft, propose
from smule_crypten.tables.profile import profile
from smule_crypten.tables.schema import MISSING_VALUES, TableSchema
from smule_crypten.tables.source import CsvFormat, TableFile


def table(folder: Path, columns: dict[str, list[object]]) -> TableFile:
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return TableFile.open(write(folder, "\n".join([",".join(columns), *rows]) + "\n"), CsvFormat())


COUNT = 60
Y: list[object] = ["Yes", "No"] * (COUNT // 2)
MIXED: dict[str, list[object]] = {
    "number": [1000 + 7 * k % 60 for k in range(COUNT)],
    "holes": ["" if k % 5 == 0 else k * 0.5 for k in range(COUNT)],
    "town": [("Ulm", "Bonn", "NA")[k % 3] for k in range(COUNT)],
    "flag": [("yes", "no")[k % 2] for k in range(COUNT)],
    "same": [7] * COUNT,
    "nothing": [""] * COUNT,
    "row": list(range(1, COUNT + 1)),
    "bought": Y,
}


def test_kinds_and_constants_by_numpy(tmp_path: Path) -> None:
    """Kinds are found, mean and deviation are those of NumPy to two digits of the deviation, useless columns named."""
    schema, notes = derive([table(tmp_path, MIXED)], ["bought"])
    by_name = {column.name: column for column in schema.columns}
    for name in ("number", "holes"):
        values = np.array([value for value in MIXED[name] if value != ""], float)
        assert by_name[name].centre == pytest.approx(values.mean(), abs=0.05 * values.std())
        assert by_name[name].scale == pytest.approx(values.std(), rel=0.05)
    assert by_name["holes"].missing
    assert not by_name["number"].missing
    assert by_name["town"].categories == ("Bonn", "Ulm")
    assert by_name["flag"].kind == "boolean"
    assert by_name["bought"].categories == ("No", "Yes")
    assert [column.name for column in schema.columns if column.role == "ignore"] == ["same", "nothing", "row"]
    assert notes == [
        "column 'same' is left out: it has one value only",
        "column 'nothing' is left out: all its values are missing",
        "column 'row' is left out: it only numbers the rows",
    ]


def test_constants_of_parts_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and files together, far from zero, as NumPy computes it of all values at once."""
    monkeypatch.setattr(source, "CHUNK_ROWS", 7)
    values = np.random.default_rng(1).normal(1e9, 2, 100)
    file = table(tmp_path, {"x": [repr(float(value)) for value in values]})
    found = profile([file, file], ["x"], MISSING_VALUES)["x"]
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.std == pytest.approx(values.std(), rel=1e-6)
    assert (found.rows, found.missing) == (200, 0)


TARGETS: dict[str, tuple[dict[str, list[object]], str, tuple[str, ...]]] = {
    "text": ({"y": ["b", "a"] * 30}, "classification", ("a", "b")),
    "few whole numbers": ({"y": [10, 9, 2] * 20}, "classification", ("2", "9", "10")),
    "numbers": ({"y": [k / 7 for k in range(60)]}, "regression", ("y",)),
    "many whole numbers": ({"y": [k * k for k in range(60)]}, "regression", ("y",)),
    "labels": ({"y": [0, 1] * 30, "z": [0] * 60}, "multilabel", ("y", "z")),
    "several numbers": ({"y": [k / 7 for k in range(60)], "z": list(range(60))}, "regression", ("y", "z")),
}


@pytest.mark.parametrize("case", TARGETS)
def test_what_is_predicted(case: str, tmp_path: Path) -> None:
    """Classes, labels or numbers, by the values of the columns that are named."""
    columns, task, names = TARGETS[case]
    schema, _ = derive([table(tmp_path, {"x": list(range(60, 0, -1)), **columns})], list(columns))
    assert (schema.task, schema.class_names) == (task, names)


def test_whoever_runs_it_says_the_kind(tmp_path: Path) -> None:
    """Grades 1 to 5 may be numbers."""
    file = table(tmp_path, {"x": list(range(60, 0, -1)), "grade": [1, 2, 3, 4, 5] * 12})
    schema, _ = derive([file], ["grade"], target_kind="numeric")
    assert schema.task == "regression"


IDS: list[object] = [f"{k:x}-{k * 7919}" for k in range(COUNT)]
DOUBTS: dict[str, tuple[dict[str, list[object]], str]] = {
    "free text": ({"name": IDS}, "column 'name': holds text with more than 50 different values, an id or free text"),
    "dates": ({"day": [f"2020-01-{k % 28 + 1:02}" for k in range(COUNT)]}, "column 'day': holds dates"),
    "other dates": ({"day": [f"{k % 28 + 1}.1.2020" for k in range(COUNT)]}, "column 'day': holds dates"),
    "another sign for missing": (
        {"n": ["?" if k == 3 else k * 1.5 for k in range(COUNT)]},
        r"column 'n': holds numbers, but '\?' in row 4; does that stand for a missing value",
    ),
    "infinite": ({"n": ["inf", *range(COUNT - 1)]}, "column 'n': row 1: 'inf' is infinite"),
    "account numbers": ({"n": [10**18 + 3 * k for k in range(COUNT)]}, r"row 1: '1000000000000000000' is beyond 2\^53"),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_columns_that_somebody_has_to_decide_on(case: str, tmp_path: Path) -> None:
    """A simulation refuses them with what to do; a draft leaves their role blank; left out, the rest is used."""
    columns, message = DOUBTS[case]
    file = table(tmp_path, {"x": list(range(COUNT, 0, -1)), **columns, "y": Y})
    with pytest.raises(
        DataError,
        match=f"{message}.*leave it out by 'data.options.ignore=..{next(iter(columns))}..', or say in a schema",
    ) as raised:
        derive([file], ["y"])
    assert "\n" not in str(raised.value)
    (name,) = columns
    text, blank = draft(propose([file], ["y"]), True, lambda proposal: True)
    assert blank == [name]
    assert f"- {{name: {name}, role: '???'}}" in text
    schema, _ = derive([file], ["y"], ignore=[name])
    assert [column.name for column in schema.features] == ["x"]


def test_all_columns_that_somebody_has_to_decide_on_are_said_at_once(tmp_path: Path) -> None:
    """What the message says to set is what a user can set: no second run finds another one."""
    names = ["id", "first name", "name, last", 'a "b"', "true", "1st", "last"]
    columns: dict[str, list[object]] = {"x": list(range(COUNT, 0, -1)), **dict.fromkeys(names, IDS), "y": Y}
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *zip(*columns.values(), strict=True)])
    file = TableFile.open(write(tmp_path, text.getvalue()), CsvFormat())
    with pytest.raises(DataError, match=r"column 'first name': .*; and 1 more; leave them") as raised:
        derive([file], ["y"], ignore=["id"])
    (override,) = re.findall(r"'(data\.options\.ignore=.*)', or say", str(raised.value))
    run = configure(
        "data=table", "data.path=t.csv", "data.target=y", "party_a/model=mlp", "party_b/model=mlp", override
    )
    assert run.data.options["ignore"] == names
    schema, _ = derive([file], ["y"], ignore=run.data.options["ignore"])
    assert [column.name for column in schema.features] == ["x"]


def test_another_sign_for_missing_values(tmp_path: Path) -> None:
    """Named, it is one."""
    file = table(tmp_path, {"n": ["?" if k == 3 else k * 1.5 for k in range(COUNT)], "y": Y})
    schema, _ = derive([file], ["y"], missing_values=("?",))
    assert schema.features[0].missing


BAD_TARGETS: dict[str, tuple[list[object], str]] = {
    "one class": (["a"] * COUNT, "column 'y', which is to be predicted: holds 'a' only; there is nothing to learn"),
    "no values": ([""] * COUNT, "has no values"),
    "free text": (IDS, "holds more than 50 different texts"),
    "infinite": (["inf", *(k / 7 for k in range(COUNT - 1))], "row 1: 'inf' is infinite"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_targets_that_cannot_be_learned(case: str, tmp_path: Path) -> None:
    """In one line, by the column."""
    values, message = BAD_TARGETS[case]
    with pytest.raises(DataError, match=message):
        derive([table(tmp_path, {"x": list(range(COUNT, 0, -1)), "y": values})], ["y"])


def test_names_that_are_not_there(tmp_path: Path) -> None:
    """The nearest one is named."""
    file = table(tmp_path, MIXED)
    with pytest.raises(ConfigError, match=r"data.target: .* has no column 'bougth' \(did you mean bought"):
        derive([file], ["bougth"])
    with pytest.raises(ConfigError, match=r"data.options.ignore: .* has no column 'twon' \(did you mean town"):
        derive([file], ["bought"], ignore=["twon"])
    with pytest.raises(ConfigError, match=r"data.options.ignore: 'bought' is to be predicted"):
        derive([file], ["bought"], ignore=["bought"])


def test_no_feature_is_left(tmp_path: Path) -> None:
    """A table of useless columns is none."""
    with pytest.raises(DataError, match="no column has role feature"):
        derive([table(tmp_path, {"same": [1] * COUNT, "y": Y})], ["y"])


def test_a_draft_holds_no_values_unless_confirmed(tmp_path: Path) -> None:
    """Names, kinds and where values are missing; confirmed columns have their values, and then it is a whole schema."""
    proposals = propose([table(tmp_path, MIXED)], ["bought"])
    text, blank = draft(proposals, True, lambda proposal: False)
    assert blank == ["number", "holes", "town", "bought"]
    body = text.partition("columns:")[2]
    for private in ("Ulm", "Bonn", "Yes", "10", "15"):
        assert private not in body
    assert "- {name: holes, role: feature, kind: numeric, centre: '???', scale: '???', missing: true}" in text
    text, blank = draft(proposals, True, lambda proposal: proposal.name == "town")
    assert blank == ["number", "holes", "bought"]
    assert "categories: [Bonn, Ulm]" in text


def test_all_confirmed_is_what_a_simulation_uses(tmp_path: Path) -> None:
    """The same proposals, so the same schema."""
    import yaml

    file = table(tmp_path, MIXED)
    text, blank = draft(propose([file], ["bought"]), True, lambda proposal: True)
    assert blank == []
    schema, _ = derive([file], ["bought"])
    assert TableSchema.model_validate(yaml.load(text, Loader=yaml.BaseLoader)) == schema
