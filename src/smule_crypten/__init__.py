"""Secure mutual learning between two parties, on CrypTen: the front door.

`import smule_crypten as smule` offers the names below, and docs/library.md shows them at work. Each is imported when it
is first used, so that importing the package takes no time. README.md beside this file is a map of the rooms behind.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from smule_crypten._version import __version__

__all__ = [
    "DataBundle",
    "InProcess",
    "PredictionSource",
    "Samples",
    "SmuleError",
    "SoftLabels",
    "Teacher",
    "Trainer",
    "TrainingConfig",
    "__version__",
    "configure",
    "estimate",
    "evaluate",
    "exchange",
    "load_model",
    "mutual_loss",
    "predict",
    "simulate",
    "translate",
]

_HOMES = {
    "DataBundle": "data.samples.DataBundle",
    "InProcess": "simulation.in_process.InProcess",
    "Samples": "data.samples.Samples",
    "PredictionSource": "types.PredictionSource",
    "SmuleError": "errors.SmuleError",
    "SoftLabels": "types.SoftLabels",
    "Teacher": "training.teacher.Teacher",
    "Trainer": "training.trainer.Trainer",
    "TrainingConfig": "config.sections.TrainingConfig",
    "configure": "launch.library.configure",
    "estimate": "launch.library.estimate",
    "evaluate": "training.evaluate.evaluate",
    "exchange": "party.local_exchange.exchange",
    "load_model": "training.checkpoint.load_model",
    "mutual_loss": "training.losses.mutual_loss",
    "predict": "launch.library.predict",
    "simulate": "simulation.simulation.simulate",
    "translate": "models.agreement.translate_checked",
}
"""Name -> where it stands inside."""

if TYPE_CHECKING:
    from smule_crypten.config.sections import TrainingConfig
    from smule_crypten.data.samples import DataBundle, Samples
    from smule_crypten.errors import SmuleError
    from smule_crypten.launch.library import configure, estimate, predict
    from smule_crypten.models.agreement import translate_checked as translate
    from smule_crypten.party.local_exchange import exchange
    from smule_crypten.simulation.in_process import InProcess
    from smule_crypten.simulation.simulation import simulate
    from smule_crypten.training.checkpoint import load_model
    from smule_crypten.training.evaluate import evaluate
    from smule_crypten.training.losses import mutual_loss
    from smule_crypten.training.teacher import Teacher
    from smule_crypten.training.trainer import Trainer
    from smule_crypten.types import PredictionSource, SoftLabels
else:

    def __getattr__(name: str) -> object:
        """A name of the table, imported now."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home, _, attribute = _HOMES[name].rpartition(".")
        found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), attribute)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
