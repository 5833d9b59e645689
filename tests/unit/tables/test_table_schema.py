from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from smule_crypten.errors import ConfigError
from smule_crypten.tables.schema import BLANK, Column, TableSchema, composed
from smule_crypten.tables.schema_file import read_schema, text_of

NAMES = (
    st.text(min_size=1, max_size=12)
    .map(composed)
    .filter(lambda name: bool(name) and name.isprintable() and name != BLANK)
)
NUMBERS = st.floats(-1e12, 1e12)
SPREADS = st.floats(1e-9, 1e12)


@st.composite
def schemas(draw: st.DrawFn) -> TableSchema:
    """Features of all kinds, columns that are ignored, and targets of one of the tasks."""
    names = draw(st.lists(NAMES, min_size=2, max_size=8, unique=True))
    targets = draw(st.integers(1, len(names) - 1))
    kind = draw(st.sampled_from(["numeric", "boolean"] + ["categorical"] * (targets == 1)))
    columns = [draw(used(name, kind, "target")) for name in names[:targets]]
    columns.append(draw(used(names[targets], draw(st.sampled_from(["numeric", "categorical"])), "feature")))
    for name in names[targets + 1 :]:
        what = draw(st.sampled_from(["ignore", "numeric", "boolean", "categorical"]))
        columns.append(Column(name=name, role="ignore") if what == "ignore" else draw(used(name, what, "feature")))
    ordered = draw(st.permutations(columns))
    return TableSchema(columns=tuple(ordered), limit=draw(SPREADS), missing_values=tuple(draw(st.lists(NAMES))))


@st.composite
def used(draw: st.DrawFn, name: str, kind: str, role: str) -> Column:
    """A column that is no ignored one."""
    values: dict[str, object] = {"name": name, "role": role, "kind": kind}
    if kind == "numeric":
        values |= {"centre": draw(NUMBERS), "scale": draw(SPREADS)}
    if kind == "categorical":
        values["categories"] = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    if kind == "categorical" and role == "feature":
        values["other"] = draw(st.none() | st.sampled_from(values["categories"]))
    if role == "feature":
        values["missing"] = draw(st.booleans())
    return Column.model_validate(values)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(schema=schemas())
def test_a_file_gives_the_schema_back(schema: TableSchema, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Names like No, 1, null, or with quotes and colons stay what they are, and numbers stay exact."""
    path = tmp_path_factory.mktemp("schema") / "schema.yaml"
    path.write_text(text_of(schema), encoding="utf-8")
    again = read_schema(path)
    assert again == schema
    assert again.public() == schema.public()


def test_json_is_a_schema_too(tmp_path: Path) -> None:
    """A schema may come out of another program."""
    path = tmp_path / "schema.json"
    path.write_text(
        '{"columns": [{"name": "x", "kind": "numeric", "centre": 1, "scale": 2.5, "missing": true},'
        ' {"name": "y", "role": "target", "kind": "boolean"}], "limit": 5}'
    )
    schema = read_schema(path)
    assert (schema.features[0].scale, schema.features[0].missing, schema.limit) == (2.5, True, 5.0)
    assert (schema.task, schema.class_names) == ("classification", ("false", "true"))


def test_the_task_follows_from_the_targets() -> None:
    """One list of columns says what is learned, and the names of a network's outputs."""
    feature = Column(name="x", kind="boolean")
    label_a, label_b = (Column(name=name, role="target", kind="boolean") for name in "ab")
    number = Column(name="n", role="target", kind="numeric", centre=0.0, scale=1.0)
    classes = Column(name="c", role="target", kind="categorical", categories=("r", "s", "t"))
    found = [TableSchema(columns=(feature, *targets)) for targets in ([classes], [label_a, label_b], [number])]
    assert [(schema.task, schema.class_names) for schema in found] == [
        ("classification", ("r", "s", "t")),
        ("multilabel", ("a", "b")),
        ("regression", ("n",)),
    ]


X = {"name": "x", "kind": "numeric", "centre": "0", "scale": "1"}
Y = {"name": "y", "role": "target", "kind": "boolean"}
WRONG = {
    "no kind": ([{"name": "x"}, Y], "kind must be given"),
    "no constants": ([{"name": "x", "kind": "numeric"}, Y], "centre and scale must be given"),
    "constants of a category": ([{**X, "kind": "categorical", "categories": ["a", "b"]}, Y], "belong to numeric"),
    "one category": ([{"name": "x", "kind": "categorical", "categories": ["a"]}, Y], "two or more categories"),
    "category twice": ([{"name": "x", "kind": "categorical", "categories": ["a", " a"]}, Y], "'a' is listed twice"),
    "unknown other": (
        [{"name": "x", "kind": "categorical", "categories": ["a", "b"], "other": "c"}, Y],
        "other must be one of the categories",
    ),
    "no spread": ([{**X, "scale": "0"}, Y], "greater than 0"),
    "not a number": ([{**X, "centre": "nan"}, Y], "finite number"),
    "name twice": ([X, X, Y], "column 'x' is listed twice"),
    "no target": ([X], "no column has role target"),
    "no feature": ([Y], "no column has role feature"),
    "mixed targets": ([X, Y, {**X, "name": "z", "role": "target"}], "several targets must all be boolean"),
    "missing target": ([X, {**Y, "missing": "true"}], "a target is never missing"),
    "unknown key": ([{**X, "center": "0"}, Y], "center"),
    "empty name": ([{**X, "name": " "}, Y], "is no name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_impossible_schemas(case: str) -> None:
    """What cannot be meant is refused, in words."""
    columns, message = WRONG[case]
    with pytest.raises(ValidationError, match=message):
        TableSchema.model_validate({"columns": columns})


UNREADABLE = {
    "missing": (None, "cannot read the schema .*smule-table schema drafts one"),
    "no YAML": ("columns: [", "no YAML in UTF-8"),
    "no list": ("columns: 3", "no list of columns in it"),
    "bad column": (
        "columns: [{name: x, kind: numeric, centre: 0, scale: -1}, {name: y, role: target, kind: boolean}]",
        "column 'x'.scale: Input should be greater than 0, got '-1'",
    ),
    "blanks": (
        "columns: [{name: age, kind: numeric, centre: '???', scale: '???'}, {name: sex, role: '???'}]",
        r"still has blanks \(\?\?\?\): column 'age': centre: write a typical .* column 'sex': role: write feature",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_schemas(case: str, tmp_path: Path) -> None:
    """One line: the file, the column, and what to do; a draft with blanks is never used."""
    text, message = UNREADABLE[case]
    path = tmp_path / "schema.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        read_schema(path)
    assert "\n" not in str(raised.value)
