"""Metrics with their intervals in the summary, on the terminal and in a sweep."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from judged import around, evaluation, judged, of_regression
from rich.console import Console

from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.metric_text import (
    gain_interval,
    gain_value,
    metric_interval,
    metric_title,
    metric_value,
    with_interval,
)
from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.run_records import ControlRecord, RunRecord
from smule_crypten.report.summary import build_summary, read_summary, write_summary
from smule_crypten.report.sweep import write_sweep_summary
from smule_crypten.report.tables import result_table


def _lines(record: RunRecord, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(result_table(build_summary(record)))
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, output.splitlines())) <= width
    return [" ".join(line.split()) for line in output.splitlines()]


def _by_auroc(record: RunRecord) -> RunRecord:
    """The same run, judged by AUROC: alone 0.7, the control that is best by accuracy worst by it."""
    record.facts = record.facts.model_copy(update={"metric": "auroc"})
    for name in ("a", "b"):
        evaluations = record.parties[name].evaluations
        assert evaluations is not None
        values = {"smule": 0.8, "standalone": 0.7, "label_smoothing": 0.75, "self_mutual": 0.6}
        of_party = {**evaluations, **record.evaluations[name]}
        changed = {
            network: found.model_copy(update={"metrics": {**found.metrics, "auroc": around(values[network])}})
            for network, found in of_party.items()
        }
        record.evaluations[name] = changed
        record.controls[name] = {network: values[network] for network in record.controls[name]}
        record.gains[name] = {"label_smoothing": {"auroc": around(0.05)}}
    record.epochs = [
        epoch.model_copy(update={"test_accuracy": None, "test_metric": 0.5 + 0.1 * epoch.epoch})
        for epoch in record.epochs
    ]
    return record


def test_the_table_has_intervals(record: RunRecord) -> None:
    """Below each figure stands its interval; a gain whose interval includes zero is none."""
    lines = _lines(judged(record))
    assert "Test accuracy, with 95 % intervals" in lines
    party_a = lines.index("party a 90.0 % 91.0 % 92.0 % +1.0")
    assert lines[party_a + 1 : party_a + 3] == [
        "small_convnet 87.0–93.0 88.0–94.0 89.0–95.0 +0.5 to +1.5",
        "800 samples",
    ]
    party_b = lines.index("party b 95.5 % 95.5 % 95.0 % -0.5")
    assert lines[party_b + 1] == "lenet 92.5–98.5 92.5–98.5 92.0–98.0 no clear gain"
    assert "pooled data 96.0 % (93.0–99.0) by one network trained on both parties' data" in " ".join(lines)


def test_all_metrics_of_smule_are_shown(record: RunRecord) -> None:
    """One line a metric, both parties, shares in percent and the others as numbers."""
    lines = _lines(judged(record))
    assert "All metrics with SMuLe" in lines
    assert "accuracy 92.0 % (89.0–95.0) 95.0 % (92.0–98.0)" in lines
    assert "AUROC 0.530 (0.500–0.560) 0.530 (0.500–0.560)" in lines


def test_an_older_run_has_no_intervals(record: RunRecord) -> None:
    """And no second table."""
    lines = _lines(record)
    assert "Test accuracy" in lines
    assert not any("All metrics" in line or "interval" in line for line in lines)


def test_another_metric_decides(record: RunRecord) -> None:
    """The best control is the best by it, and the table says its name."""
    record = _by_auroc(judged(record))
    party = build_summary(record).parties["a"]
    assert party.best_local_control == ControlRecord(name="label_smoothing", test_accuracy=0.89)
    lines = _lines(record)
    assert "Test AUROC, with 95 % intervals" in lines
    assert "party a 0.700 0.750 0.800 +0.050" in lines


def test_a_loss_is_better_when_it_is_lower(record: RunRecord) -> None:
    """The best control is the one with the lowest, and a gain is positive where SMuLe is lower."""
    record = judged(record)
    record.facts = record.facts.model_copy(update={"metric": "log_loss"})
    losses = {"smule": 0.2, "standalone": 0.4, "label_smoothing": 0.3, "self_mutual": 0.5}
    record.gains = {}
    for name in ("a", "b"):
        short = evaluation(0.9, in_short=True)
        record.evaluations[name] = {
            network: short.model_copy(update={"metrics": {"log_loss": around(loss)}})
            for network, loss in losses.items()
        }
        record.parties[name] = record.parties[name].model_copy(update={"gains": None})
    party = build_summary(record).parties["a"]
    assert party.best_local_control is not None
    assert party.best_local_control.name == "label_smoothing"
    gain = party.gain("label_smoothing", "log_loss")
    assert gain is not None
    assert gain.value == pytest.approx(0.1)


def test_the_table_of_a_regression(record: RunRecord) -> None:
    """Errors in the units of the data."""
    assert "party a 54.3 54.3 54.3 +0" in _lines(of_regression(record))


def test_summaries_keep_all_figures(record: RunRecord, tmp_path: Path) -> None:
    """What was written is read again: networks, controls, gains, points."""
    summary = build_summary(judged(record))
    write_summary(tmp_path, record)
    assert read_summary(tmp_path) == summary
    party = summary.parties["a"]
    assert party.evaluations is not None
    assert set(party.evaluations) == {"smule", "standalone", "label_smoothing", "self_mutual"}
    assert party.evaluations["smule"].confusion is not None
    assert party.evaluations["self_mutual"].confusion is None
    assert party.gains is not None
    assert party.gains["self_mutual"]["accuracy"].is_clear


def test_a_sweep_shows_the_metric(record: RunRecord, tmp_path: Path) -> None:
    """Columns, table and picture go by the runs' metric; the ends of the gain's interval stand beside it."""
    write_summary(tmp_path / "0", _by_auroc(judged(record)))
    console = Console(file=io.StringIO(), width=80)
    console.print(write_sweep_summary(tmp_path))
    assert "Test AUROC of every job" in console.file.getvalue()  # type: ignore[attr-defined]
    (row,) = csv.DictReader((tmp_path / "sweep_summary.csv").read_text().splitlines())
    assert (row["auroc_a_alone"], row["auroc_a_smule"], row["best_control_a"]) == ("0.7", "0.8", "label_smoothing")
    assert float(row["gain_a_low"]) == pytest.approx(0.02)
    assert float(row["pooled_auroc"]) == pytest.approx(0.53)
    assert "test AUROC" in (tmp_path / "sweep_summary.svg").read_text()


def test_progress_shows_the_metric(record: RunRecord) -> None:
    """One line an epoch names what it shows."""
    epoch = _by_auroc(judged(record)).epochs[0]
    console = Console(file=io.StringIO(), width=120)
    with LiveProgress(console, {("a", "standalone"): 3}, "auroc") as progress:
        progress.update(epoch)
    assert "a alone, epoch 1/3: test AUROC 0.600, loss" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("metric", "value", "text", "gain"),
    [
        ("accuracy", 0.8776, "87.8 %", "+87.8"),
        ("auroc", 0.91234, "0.912", "+0.912"),
        ("rmse", 1234.567, "1235", "+1235"),
        ("of_tomorrow", 0.5, "0.500", "+0.500"),
    ],
)
def test_figures_as_text(metric: str, value: float, text: str, gain: str) -> None:
    """Percent where it is a share, four digits where it has a unit, and a name of a later version as it is."""
    assert metric_value(metric, value) == text
    assert gain_value(metric, value) == gain
    assert metric_value(metric, None) == gain_value(metric, None) == "–"


def test_intervals_as_text() -> None:
    """Without an interval there is none; one below zero is not read as a range of dashes."""
    assert metric_interval("r2", MetricRecord(value=0.0, low=-0.1, high=0.1)) == "-0.100 to 0.100"
    assert with_interval("auroc", MetricRecord(value=0.5)) == "0.500"
    assert with_interval("auroc", None) == "–"
    assert gain_interval("auroc", MetricRecord(value=0.1, low=0.0, high=0.2)) == "no clear gain"
    assert gain_interval("auroc", MetricRecord(value=-0.1, low=-0.2, high=-0.05)) == "-0.200 to -0.050"
    assert gain_interval("auroc", MetricRecord(value=0.1)) == ""
    assert (metric_title("auprc"), metric_title("of_tomorrow")) == ("AUPRC", "of_tomorrow")
