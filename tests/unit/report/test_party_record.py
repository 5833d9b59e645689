"""The record of one party between hosts: what it knows is there, what only the other one knows is a dash."""

from __future__ import annotations

import io
import stat
from pathlib import Path

from rich.console import Console

from smule_crypten.pages.report_page import render_report, write_report
from smule_crypten.report.formatting import MISSING
from smule_crypten.report.run_records import ControlRecord, RunRecord
from smule_crypten.report.summary import build_summary, write_summary
from smule_crypten.report.tables import result_table


def _lines(record: RunRecord) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(result_table(build_summary(record)))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_the_summary_counts_both_directions(record: RunRecord, record_of_a: RunRecord) -> None:
    """Queries, bytes and rounds are those of the link, as the simulation of the same run counts them; what the dealer
    sent to the other party is not known."""
    summary = build_summary(record_of_a)
    communication = summary.communication
    assert communication.bytes_per_epoch == [16, 5_000_000, 5_000_000]
    assert communication.queries_per_epoch == [0, 150, 150]
    assert communication.bytes_total == 4_001_008 + 6_001_008
    assert communication.rounds_total == 185
    assert communication.dealer_bytes_total is None
    assert summary.parties["a"].dealer_bytes == 800
    assert summary.parties["a"].best_local_control == ControlRecord(name="standalone", test_accuracy=0.9)
    assert summary.parties["b"].test_accuracy is None


def test_the_table_of_one_party(record_of_a: RunRecord) -> None:
    """Alone, control, SMuLe, gain, trust, bytes, disclosed and charged, noise, kept and why; dashes for the other."""
    lines = _lines(record_of_a)
    assert "party a 90.0 % 90.0 % 92.0 % +2.0" in lines
    assert f"party b {' '.join([MISSING] * 4)}" in lines
    text = " ".join(lines)
    assert "kept network party a: smule, epoch 3 (the last one, as nothing is chosen" in text
    assert "party a finds 80.0 % of known labels right" in text
    assert "party a: 150 charged of 300, 150 left, 1 exchange(s) repeated, noise 0.02" in text
    assert "from the dealer 800 B to party a" in lines
    assert f"recorded by party a alone: {MISSING} stands for what only the other party can know" in lines


def test_noise_on_values_has_a_unit(record_of_a: RunRecord) -> None:
    """In regression the network gives standardised values; what classes gave away in measurements is not quoted."""
    record_of_a.facts = record_of_a.facts.model_copy(update={"task": "regression", "metric": "rmse"})
    assert "repeated, noise 0.02 target_std" in " ".join(_lines(record_of_a))
    page = render_report(record_of_a)
    assert "Noise of standard deviation 0.02 target_std on each value" in page
    assert "what answers of a regression give away was not measured" in page
    assert "a copy trained on the answers" not in page


def test_the_reason_for_the_kept_network(record: RunRecord) -> None:
    """Who chooses by a validation part and who keeps the last network are told apart."""
    kept = {"kept_network": "alone, epoch 2", "kept_because": "validation"}
    record.parties["a"] = record.parties["a"].model_copy(update=kept)
    text = " ".join(_lines(record))
    assert "party a: alone, epoch 2 (the latest that is not clearly worse than the best one on the validation" in text
    assert "party b: smule, epoch 3 (the last one, as nothing is chosen" in text
    page = render_report(record)
    assert "Kept network: party a: alone, epoch 2 (the latest" in page
    assert "All are measured after the last epoch" not in page


def test_the_page_of_one_party(record_of_a: RunRecord) -> None:
    """It says whose record it is, and claims nothing of the other party: no empty figure, no ledger without a line."""
    page = render_report(record_of_a)
    assert f"Recorded by party a alone: {MISSING} stands for" in page
    assert "written by party a from its own record" in page
    assert "sees both sides, and shows" not in page
    assert "a SMuLe" in page
    assert "b SMuLe" not in page
    assert "Answered by party a" in page
    assert "Answered by party b" not in page


def test_a_party_keeps_its_record_to_itself(record_of_a: RunRecord, tmp_path: Path) -> None:
    """Class counts and addresses stand in them, so nobody but the owner may read the files."""
    for path in (write_summary(tmp_path, record_of_a), write_report(tmp_path, record_of_a)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_times_add_up(record: RunRecord) -> None:
    """What is shown sums to the total; where earlier attempts took part, that is said in place of a wrong sum."""
    assert "time training 12.5 s + exchange 31.0 s + rest 3.7 s = 47.2 s" in " ".join(_lines(record))
    record.total_seconds = 90.0
    # 12.5 + 31 + 46.5 in whole seconds
    assert "time training 12 s + exchange 31 s + rest 47 s = 1 min 30 s" in " ".join(_lines(record))
    record.total_seconds = 20.0
    assert "time training 12.5 s + exchange 31.0 s, earlier attempts with them; the last attempt 20.0 s" in " ".join(
        _lines(record)
    )
