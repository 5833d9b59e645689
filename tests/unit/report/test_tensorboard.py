from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from smule_crypten.errors import OutputError
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.tensorboard import TensorBoardWriter


def test_scalars_can_be_read_back(tmp_path: Path, record: RunRecord) -> None:
    """TensorBoard shows each training under its own name, with the epoch as step."""
    with TensorBoardWriter(tmp_path) as writer:
        for event in record.epochs:
            writer.add(event)
    events = EventAccumulator(str(tmp_path)).Reload()
    accuracies = [(scalar.step, scalar.value) for scalar in events.Scalars("party_a/smule/test_accuracy")]
    assert accuracies == [(1, pytest.approx(0.72)), (2, pytest.approx(0.82)), (3, pytest.approx(0.92))]
    assert [scalar.value for scalar in events.Scalars("party_b/smule/queries_made")] == [0, 50, 50]
    assert len(events.Scalars("pooled/loss")) == 3
    assert len(events.Scalars("party_b/self_mutual/test_accuracy")) == 3


def test_counters_of_the_exchange_belong_to_smule_only(tmp_path: Path, record: RunRecord) -> None:
    """A training alone exchanges nothing and shows no flat lines of zeros."""
    with TensorBoardWriter(tmp_path) as writer:
        writer.add(record.epochs[0])
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"]
    names = ("loss", "train_accuracy", "test_accuracy", "training_seconds")
    assert sorted(tags) == sorted(f"party_a/standalone/{name}" for name in names)


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    """Users get one line and the documented exit code."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        TensorBoardWriter(tmp_path / "file" / "tensorboard")
