"""What earlier versions left is still read, what is no record is refused, and docs/results.md is what the types say."""

from __future__ import annotations

import csv
import io
import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from smule_crypten.errors import DataError
from smule_crypten.report.run_records import RunRecord, RunSummary
from smule_crypten.report.summary import SUMMARY_FILE, build_summary, read_summary
from smule_crypten.report.sweep import write_sweep_summary
from smule_crypten.report.tables import result_table

OLD_SUMMARY = Path(__file__).parent / "summary_of_2026_11.json"
"""As the program wrote it before its records were types."""
LATER = ("budget", "privacy", "alarms", "kept_because", "dealer_bytes", "answers_dropped", "controls", "trust")
"""Keys of a party that summaries of the first weeks lack."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copy(OLD_SUMMARY, tmp_path / SUMMARY_FILE)
    return tmp_path


def test_an_old_summary_is_read_whole(old: Path) -> None:
    """Nothing of it is lost or taken for something else: written again, it holds the same keys and values, and null or
    what was the only choice then for keys that are new."""
    written, before = json.loads(read_summary(old).model_dump_json()), json.loads(OLD_SUMMARY.read_text())
    new = {key: written.pop(key) for key in set(written) - set(before)}
    assert new == {"task": "classification", "metric": "accuracy", "pooled_evaluation": None, "data_notes": []}
    for party in written["parties"].values():
        new_keys = ("evaluations", "gains", "planned_set_up_bytes", "public_made", "public_answered")
        assert [party.pop(key) for key in (*new_keys, "joint_head")] == [None] * 6
        assert party["budget"].pop("public") == 0
    assert written == before


def test_an_old_summary_is_shown(old: Path) -> None:
    """The final table and a sweep take it as one of today."""
    console = Console(file=io.StringIO(), width=120)
    console.print(result_table(read_summary(old)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "best control" in text
    assert "answered" in text
    sweep = old / "sweep"
    (sweep / "0").mkdir(parents=True)
    shutil.copy(OLD_SUMMARY, sweep / "0" / SUMMARY_FILE)
    write_sweep_summary(sweep)
    (row,) = csv.DictReader((sweep / "sweep_summary.csv").read_text().splitlines())
    values = json.loads(OLD_SUMMARY.read_text())
    assert (row["status"], row["error"]) == ("completed", "")
    assert float(row["accuracy_a_smule"]) == values["parties"]["a"]["test_accuracy"]
    assert int(row["bytes_total"]) == values["communication"]["bytes_total"]


def test_a_summary_of_the_first_weeks_is_read(old: Path) -> None:
    """What it lacks is not known, and what has gone away since is left out."""
    values = json.loads(OLD_SUMMARY.read_text())
    for party in values["parties"].values():
        for key in LATER:
            del party[key]
        party["answers_recomputed"] = 0
    del values["attack"], values["recorded_by"]
    (old / SUMMARY_FILE).write_text(json.dumps(values))
    summary = read_summary(old)
    assert summary.parties["a"].budget is None
    assert summary.parties["a"].test_accuracy == values["parties"]["a"]["test_accuracy"]
    result_table(summary)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ([], [], "as a whole: Input should be an object"),
        (["seed"], "7", "seed: Input should be a valid integer"),
        (["seed"], True, "seed: Input should be a valid integer"),
        (["status"], "done", "status: Input should be 'running', 'completed', 'failed' or 'interrupted'"),
        (["schema_version"], 2, "schema_version: Input should be 1"),
        (["parties", "a", "num_train"], 1.5, "parties.a.num_train: Input should be a valid integer"),
        (["parties", "a"], None, "parties.a: Input should be an object"),
        (["parties"], {"a": {}}, "parties: Dictionary should have at least 2 items"),
        (["parties"], {"a": {}, "c": {}}, "parties.c.[key]: String should match pattern"),
        (["communication", "bytes_per_epoch"], [1, None], "communication.bytes_per_epoch.1: Input should be a valid"),
        (["communication", "bytes_by_layer"], {"conv1": "x"}, "communication.bytes_by_layer.conv1: Input should be"),
        (["fidelity"], {"top1_agreement": 1.0}, "fidelity.num_samples: Field required"),
    ],
)
def test_what_is_no_summary_is_refused(old: Path, path: list[str], value: Any, problem: str) -> None:
    """In one line that names the file and where it is wrong."""
    values = json.loads(OLD_SUMMARY.read_text())
    target = values
    for key in path[:-1]:
        target = target[key]
    if path:
        target[path[-1]] = value
    (old / SUMMARY_FILE).write_text(json.dumps(values if path else value))
    with pytest.raises(DataError) as raised:
        read_summary(old)
    assert f"{SUMMARY_FILE} is no RunSummary: {problem}" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "null", "{}", "not JSON \x00\x1b[2J\n"])
def test_a_file_of_something_else_is_refused(old: Path, text: str) -> None:
    """Whatever stands in it: one line, and nothing that a terminal obeys."""
    (old / SUMMARY_FILE).write_text(text)
    with pytest.raises(DataError, match="is no RunSummary") as raised:
        read_summary(old)
    assert str(raised.value).isprintable()


def test_unknown_keys_are_refused_where_a_record_is_made(record: RunRecord) -> None:
    """A key that is misspelt here does not go to a file."""
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        RunSummary(**vars(build_summary(record)), surprise=1)


def test_the_tables_of_the_page_are_those_of_the_types() -> None:
    """docs/results.md names exactly the keys, types and meanings of the records; the script writes it."""
    script = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "document_records.py"))
    text = script["DOCUMENT"].read_text(encoding="utf-8")
    assert script["filled"](text) == text


def test_every_key_has_a_meaning() -> None:
    """A field without a description, which is no record of its own, would be missing from the page."""
    script = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "document_records.py"))
    for kind, _ in script["ROOTS"].values():
        for name, field in kind.model_fields.items():
            assert field.description or list(script["inside"](field.annotation)), f"{kind.__name__}.{name}"
