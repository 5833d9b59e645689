"""The one table of attacks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smule_crypten.attacks.answers import AnswersOptions, PoisonedAnswers
from smule_crypten.attacks.attack import Attack
from smule_crypten.attacks.backdoor import Backdoor, BackdoorOptions
from smule_crypten.attacks.labels import LabelFlip, LabelFlipOptions
from smule_crypten.attacks.trigger_answers import TriggerAnswers, TriggerAnswersOptions
from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import AttackConfig, Section
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError

ATTACKS: dict[str, tuple[type[Section], Callable[[Any, Samples, int, int], Attack]]] = {
    "label_flip": (LabelFlipOptions, LabelFlip),
    "backdoor": (BackdoorOptions, Backdoor),
    "answers": (AnswersOptions, PoisonedAnswers),
    "trigger_answers": (TriggerAnswersOptions, TriggerAnswers),
}
"""Name -> its options, and what builds it from options, the adversary's samples, number of classes and seed."""


def make_attack(config: AttackConfig, train: Samples, num_classes: int, seed: int) -> Attack:
    """The attack of an adversary with these training samples, normalised; everything random in it follows from seed.

    Raises:
        ConfigError: an option is unknown, of the wrong type or out of range.
    """
    if config.name == "none":
        return Attack()
    kind, build = ATTACKS[config.name]
    options = parse_options(kind, config.options, "attack.options")
    for key in ("source", "target"):
        label = getattr(options, key, None)
        if label is not None and label >= num_classes:
            raise ConfigError(f"attack.options.{key}={label} is no class; the data has 0 to {num_classes - 1}")
    return build(options, train, num_classes, seed)
