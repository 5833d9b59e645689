from __future__ import annotations

import io

import pytest
from rich.console import Console

from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.run_records import RunRecord

PHASES = ("standalone", "smule", "self_mutual")
TASKS = {(party, phase): 3 for phase in PHASES for party in ("a", "b")} | {("pooled", "pooled"): 3}


def test_without_a_terminal_each_epoch_is_one_plain_line(record: RunRecord) -> None:
    """Logs of a batch system stay readable: no control characters, one line an epoch, however long."""
    output = io.StringIO()
    with LiveProgress(Console(file=output, width=40), TASKS) as progress:
        progress.message("party [a] is ready")
        for event in record.epochs:
            progress.update(event)
    lines = output.getvalue().splitlines()
    assert len(lines) == 1 + len(record.epochs)
    assert lines[0] == "party [a] is ready"
    assert lines[1] == "a alone, epoch 1/3: test accuracy 70.0 %, loss 1.000, 1.5 s"
    assert "a SMuLe, epoch 2/3: test accuracy 82.0 %, loss 0.500, 11.5 s, 100 queries, 5.00 MB" in lines
    assert "pooled data, epoch 3/3: test accuracy 96.0 %, loss 0.333, 1.5 s" in lines
    assert "\x1b" not in output.getvalue()


def test_on_a_terminal_bars_show_epochs_and_accuracy(record: RunRecord) -> None:
    """The last state of every training is on the screen when the run ends."""
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system=None, legacy_windows=False)
    with LiveProgress(console, TASKS) as progress:
        for event in record.epochs:
            progress.update(event)
        progress.message("done")
    screen_lines = [line for line in output.getvalue().splitlines() if "/3" in line]
    final_lines = screen_lines[-len(TASKS) :]
    assert [("3/3" in line) for line in final_lines] == [True] * len(TASKS)
    assert "95.0 %" in next(line for line in final_lines if "b SMuLe" in line)
    assert "91.0 %" in next(line for line in final_lines if "a self mutual" in line)
    assert "96.0 %" in next(line for line in final_lines if "pooled data" in line)
    assert "done" in output.getvalue()


def test_an_unannounced_training_is_refused(record: RunRecord) -> None:
    """An event that no bar belongs to is a mistake of the caller and is not dropped."""
    with LiveProgress(Console(file=io.StringIO()), {}) as progress, pytest.raises(KeyError):
        progress.update(record.epochs[0])
