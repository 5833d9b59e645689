from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rich.console import Console

from smule_crypten.errors import OutputError
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import write_summary
from smule_crypten.report.sweep import collect_sweep, write_sweep_summary


@pytest.fixture
def sweep_dir(tmp_path: Path, record: RunRecord) -> Path:
    """Four jobs: 0 and 10 completed, 2 failed with a summary, 3 died without one."""
    for job, temperature in ((0, "1"), (10, "4"), (2, "2"), (3, "3")):
        folder = tmp_path / str(job)
        folder.mkdir()
        overrides = [f"training.temperature={temperature}", "+data=digits"]
        (folder / "overrides.json").write_text(json.dumps(overrides))
    for name, dealer_bytes in (("a", 1_500_000), ("b", 1_000_000)):
        record.parties[name] = record.parties[name].model_copy(update={"dealer_bytes": dealer_bytes})
    write_summary(tmp_path / "0", record)
    write_summary(tmp_path / "10", record)
    record.status, record.error, record.parties, record.controls = "failed", "loss is not finite, in epoch 2", {}, {}
    write_summary(tmp_path / "2", record)
    (tmp_path / ".submitit").mkdir()
    return tmp_path


def test_the_csv_has_one_row_a_job(sweep_dir: Path) -> None:
    """Each job appears once, in the order of numbers, with its overrides, results, cost and error."""
    write_sweep_summary(sweep_dir)
    rows = list(csv.DictReader((sweep_dir / "sweep_summary.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["job"], row["status"]) for row in rows] == [
        ("0", "completed"),
        ("2", "failed"),
        ("3", "failed"),
        ("10", "completed"),
    ]
    assert [row["training.temperature"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["data"] for row in rows} == {"digits"}
    assert rows[0] == rows[3] | {"job": "0", "training.temperature": "1"}
    assert (rows[0]["accuracy_a_alone"], rows[0]["accuracy_a_smule"]) == ("0.9", "0.92")
    assert (rows[0]["accuracy_b_alone"], rows[0]["accuracy_b_smule"]) == ("0.955", "0.95")
    assert (rows[0]["pooled_accuracy"], rows[0]["bytes_total"], rows[0]["seconds_total"]) == (
        "0.96",
        "10002016",
        "47.25",
    )
    assert rows[0]["dealer_bytes_total"] == "2500000"
    assert (rows[0]["accuracy_a_best_control"], rows[0]["best_control_a"]) == ("0.91", "self_mutual")
    assert (rows[0]["accuracy_b_best_control"], rows[0]["best_control_b"]) == ("0.955", "standalone")
    assert rows[1]["best_control_a"] == ""
    assert rows[1]["error"] == "loss is not finite, in epoch 2"
    assert rows[1]["accuracy_a_smule"] == ""
    assert rows[2]["error"] == "no summary.json"


def test_the_table_names_what_differs_and_what_failed(sweep_dir: Path) -> None:
    """A reader of the terminal sees the settings that vary and the reason of each failure, within 80 columns."""
    console = Console(file=io.StringIO(), width=80)
    console.print(write_sweep_summary(sweep_dir))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "0 temperature=1 90.0 92.0 95.5 95.0 96.0 12.50 MB" in lines
    assert "2 temperature=2 – – – – 96.0 –" in lines
    assert "job 2 failed: loss is not finite, in epoch 2" in lines
    assert "job 3 failed: no summary.json" in lines
    assert "data=digits" not in output
    assert max(map(len, output.splitlines())) <= 80


def test_the_plot_is_a_file_of_its_own(sweep_dir: Path) -> None:
    """sweep_summary.svg is complete XML that names every job by its setting."""
    write_sweep_summary(sweep_dir)
    svg = ElementTree.parse(sweep_dir / "sweep_summary.svg")
    texts = {element.text for element in svg.iter() if element.tag.endswith("}text")}
    assert {f"temperature={value}" for value in (1, 2, 3, 4)} <= texts
    assert {"a alone", "a SMuLe", "pooled data", "test accuracy (%)"} <= texts
    assert "currentColor" not in (sweep_dir / "sweep_summary.svg").read_text()


def test_a_damaged_summary_is_a_failed_job(sweep_dir: Path) -> None:
    """One broken file does not hide the other jobs."""
    (sweep_dir / "0" / "summary.json").write_text('{"status": "completed"}')
    (sweep_dir / "2" / "summary.json").write_text('{"sta')
    jobs = {job.name: job for job in collect_sweep(sweep_dir)}
    assert jobs["0"].status == jobs["2"].status == "failed"
    assert "summary.json is no RunSummary: run_id: Field required" in str(jobs["0"].error)
    assert jobs["10"].status == "completed"


def test_a_job_that_failed_before_its_record_says_why(sweep_dir: Path) -> None:
    """An impossible setting is found before there is a summary; the launcher leaves its message in error.txt."""
    (sweep_dir / "3" / "error.txt").write_text("training.temperature: must be positive\n")
    jobs = {job.name: job for job in collect_sweep(sweep_dir)}
    assert (jobs["3"].status, jobs["3"].error) == ("failed", "training.temperature: must be positive")


def test_jobs_without_overrides_go_by_their_number(tmp_path: Path, record: RunRecord) -> None:
    """A sweep whose launcher wrote no overrides can still be summarized."""
    for job in ("0", "1"):
        write_summary(tmp_path / job, record)
    write_sweep_summary(tmp_path)
    svg = ElementTree.parse(tmp_path / "sweep_summary.svg")
    assert {"job 0", "job 1"} <= {element.text for element in svg.iter() if element.tag.endswith("}text")}


def test_settings_of_the_same_short_name_keep_their_full_name(tmp_path: Path, record: RunRecord) -> None:
    """A sweep over scheme.name and data.name does not show two columns called name."""
    for job in ("0", "1"):
        write_summary(tmp_path / job, record)
        (tmp_path / job / "overrides.json").write_text(json.dumps([f"scheme.name=s{job}", f"data.name=d{job}"]))
    console = Console(file=io.StringIO(), width=80)
    console.print(write_sweep_summary(tmp_path))
    assert "scheme.name=s1" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_sweep_without_jobs_is_an_empty_table(tmp_path: Path) -> None:
    """Nothing to report is not an error."""
    console = Console(file=io.StringIO(), width=80)
    console.print(write_sweep_summary(tmp_path))
    assert "Test accuracy of every job" in console.file.getvalue()  # type: ignore[attr-defined]
    assert (tmp_path / "sweep_summary.csv").exists()


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    """A wrong path gives one line."""
    with pytest.raises(OutputError, match="cannot read the sweep"):
        collect_sweep(tmp_path / "nowhere")
