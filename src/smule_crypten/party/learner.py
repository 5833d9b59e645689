"""A party of a run as a learner."""

from __future__ import annotations

from functools import partial

from smule_crypten.config.run import PartyConfig
from smule_crypten.party.device import resolve_device
from smule_crypten.party.inputs import PartyInputs, build_party_model, party_seed
from smule_crypten.party.private_training import private_trainer
from smule_crypten.tasks.by_name import party_task
from smule_crypten.training.learner import Learner


def learner_of(config: PartyConfig, inputs: PartyInputs) -> Learner:
    """What this party learns with.

    Raises:
        ConfigError: its device is not there.
    """
    dp = config.training.dp
    return Learner(
        name=config.name,
        holding=inputs,
        training=config.training,
        num_classes=inputs.bundle.num_classes,
        build=partial(build_party_model, config, inputs.bundle),
        seed=party_seed(config),
        device=resolve_device(config.device),
        task=party_task(config),
        private=None if dp is None else partial(private_trainer, config, inputs, dp),
    )
