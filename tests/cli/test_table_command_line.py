"""`smule data=table data.path=FILE data.target=COLUMN`, as one person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from smule_command import call

SMALL = [
    "data=table",
    "data.path=customers.csv",
    "data.target=left",
    "partition=iid",
    "training.epochs=3",
    "training.batch_size=16",
    "simulation.controls=[]",
    "simulation.pooled=false",
    "exchange.num_queries=8",
    "hydra.run.dir=run",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With customers.csv, the current folder."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(3)
    rows = [
        f"{number},{age:.1f},{generator.choice(['north', 'south'])},{'yes' if age > 50 else 'no'}"
        for number, age in enumerate(generator.uniform(20, 80, 300))
    ]
    (tmp_path / "customers.csv").write_text("\n".join(["number,age,region,left", *rows]) + "\n")
    return tmp_path


def test_a_table_is_as_easy_as_the_digits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that fit are chosen, both parties learn, and the record says where the constants came from."""
    assert call(monkeypatch, *SMALL) == 0
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert [party["architecture"] for party in summary["parties"].values()] == ["mlp", "mlp"]
    assert all(party["test_accuracy"] > 0.8 for party in summary["parties"].values())
    assert sum(party["queries_made"] for party in summary["parties"].values()) > 0
    notes = summary["data_notes"]
    assert "kinds, categories and constants are those of the whole table" in notes[0]
    assert notes[1] == "column 'number' is left out: it only numbers the rows"
    assert "those of the whole table" in (folder / "run" / "report.html").read_text()


MISTAKES = {
    "another column": (["data.target=lfet"], 2, "data.target: customers.csv has no column 'lfet' (did you mean left?"),
    "no column": (["data.target=null"], 2, "data.target: name the column of the table"),
    "no file": (["data.path=customer.csv"], 3, "cannot read customer.csv (no such file)"),
    "another separator": (["data.options.separator=tab"], 3, "set data.options.separator=comma"),
    "numbers": (["data.target=age"], 3, "are they to be learned by task=regression?"),
    "of other data": (["data=digits", "data.path=null"], 2, "data.target: has no effect on data set 'digits'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What to do, the exit code of its kind, and no folder of a run that never began."""
    overrides, code, message = MISTAKES[case]
    assert call(monkeypatch, *SMALL, *overrides) == code
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert not (folder / "run").exists()
