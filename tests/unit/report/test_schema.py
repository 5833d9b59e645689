"""The schema, the summaries that are built and docs/results.md must not drift apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from smule_crypten.report.schema import validate_summary
from smule_crypten.report.summary import build_summary
from smule_crypten.types import RunRecord

DOCUMENT = Path(__file__).parents[3] / "docs" / "results.md"
FREE_FORM = {
    "versions",
    "hardware",
    "communication.bytes_by_phase",
    "communication.bytes_by_layer",
    "parties.a.controls",
    "parties.b.controls",
}


def test_every_key_of_a_summary_is_documented_and_nothing_else(record: RunRecord) -> None:
    """docs/results.md names exactly the keys that summary.json has."""
    built = {path.replace("parties.a.", "parties.{a,b}.") for path in _paths(build_summary(record))}
    assert _documented("summary.json") == {path for path in built if not path.startswith("parties.b.")}


def test_every_key_of_an_epoch_is_documented_and_nothing_else(record: RunRecord) -> None:
    """docs/results.md names exactly the keys of a line of record.jsonl."""
    assert _documented("record.jsonl") == set(record.epochs[0])


def test_a_built_summary_is_valid(record: RunRecord) -> None:
    """The code keeps the schema that it publishes."""
    validate_summary(build_summary(record))


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["seed"], "7", "seed: unexpected '7'"),
        (["seed"], True, "seed: unexpected True"),
        (["status"], "done", "status: unexpected 'done'"),
        (["schema_version"], 2, "schema_version: unexpected 2"),
        (["parties", "a", "num_train"], 1.5, "parties.a.num_train: unexpected 1.5"),
        (["parties", "a"], None, "parties.a: expected an object"),
        (["communication", "bytes_per_epoch"], [1, None], "communication.bytes_per_epoch: unexpected"),
        (["communication", "bytes_by_layer"], {"conv1": "x"}, "communication.bytes_by_layer: unexpected"),
        (["fidelity"], {"num_samples": 1}, "fidelity: unexpected"),
        (["surprise"], 1, "surprise: unknown key"),
    ],
)
def test_a_wrong_value_is_named(record: RunRecord, path: list[str], value: Any, problem: str) -> None:
    """Readers of other programs' summaries learn where the form is broken."""
    summary = build_summary(record)
    target = summary
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(ValueError, match=re.escape(problem)):
        validate_summary(summary)


def test_a_missing_key_is_named(record: RunRecord) -> None:
    """A summary cut short is not accepted."""
    summary = build_summary(record)
    del summary["parties"]["b"]["queries_made"]
    with pytest.raises(ValueError, match=r"parties\.b\.queries_made: missing"):
        validate_summary(summary)


def _paths(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and path not in FREE_FORM:
            yield from _paths(value, f"{path}.")
        else:
            yield path


def _documented(file_name: str) -> set[str]:
    """First column of the table in the section of docs/results.md about one file."""
    (section,) = re.findall(rf"^## `{re.escape(file_name)}`.*?$(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.M | re.S)
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.M))
