"""A party of a run as a learner."""

from __future__ import annotations

from functools import partial

from smule_crypten.compute.device import resolve_device
from smule_crypten.compute.helpers import Helpers
from smule_crypten.compute.own_computing import own_computing
from smule_crypten.config.run import PartyConfig
from smule_crypten.party.inputs import PartyInputs, build_copy, party_seed
from smule_crypten.party.private_training import private_trainer
from smule_crypten.tasks.by_name import party_task
from smule_crypten.training.learner import Learner


def learner_of(config: PartyConfig, inputs: PartyInputs, helpers: Helpers | None = None) -> Learner:
    """What this party learns with; helpers: its other processes.

    Raises:
        ConfigError: its device is not there.
        PartyFailedError: a process of helpers is gone.
    """
    dp, bundle, device = config.training.dp, inputs.bundle, resolve_device(config.device)
    learner = Learner(
        name=config.name,
        holding=inputs,
        training=config.training,
        num_classes=bundle.num_classes,
        build=partial(build_copy, config.model, bundle.input_shape, bundle.num_classes, party_seed(config)),
        seed=party_seed(config),
        device=device,
        task=party_task(config),
        private=None if dp is None else partial(private_trainer, config, inputs.train, dp),
        computing=partial(own_computing, config.compute, device),
    )
    return learner if helpers is None else helpers.spread(learner)
