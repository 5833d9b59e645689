"""The epochs of a run as TensorBoard scalars."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from smule_crypten.files import output_error
from smule_crypten.report.records import EpochRecord

_TRAINING_KEYS = ("loss", "train_accuracy", "test_accuracy", "test_metric", "training_seconds")
_SMULE_KEYS = (
    "distillation_loss",
    "soft_label_fraction",
    "peer_accuracy",
    "peer_weight",
    "exchange_seconds",
    "queries_made",
    "queries_answered",
    "answers_dropped",
    "bytes_sent",
    "bytes_received",
    "dealer_bytes",
    "rounds",
    "peak_memory_bytes",
)


class TensorBoardWriter:
    """Turns epochs into scalars such as party_a/smule/test_accuracy, with the epoch as step.

    A folder holds one run: events of an earlier attempt at it are removed.

    Raises:
        OutputError: folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._writer = SummaryWriter(str(folder))
        except OSError as error:
            raise output_error(folder, error) from error

    def add(self, epoch: EpochRecord) -> None:
        phase = epoch.phase
        prefix = "pooled" if phase == "pooled" else f"party_{epoch.party}/{phase}"
        keys = _TRAINING_KEYS + _SMULE_KEYS if phase == "smule" else _TRAINING_KEYS
        for key in keys:
            if (value := getattr(epoch, key)) is not None:
                self._writer.add_scalar(f"{prefix}/{key}", value, epoch.epoch)

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> TensorBoardWriter:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()
