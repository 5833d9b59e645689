"""A party's differentially private trainings: their noise, their keys, and what they cost together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DpConfig
from smule_crypten.data.samples import Samples
from smule_crypten.mpc.keys import fresh_entropy, insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.party.inputs import PartyInputs, party_seed
from smule_crypten.report.records import PrivacyRecord
from smule_crypten.tasks.by_name import party_task
from smule_crypten.training.computing import Computing
from smule_crypten.training.privacy import epsilon_spent
from smule_crypten.training.private_trainer import PrivateTrainer, planned_noise, planned_steps, sample_rate
from smule_crypten.training.teacher import Teacher


def private_trainer(
    config: PartyConfig,
    train: Samples,
    dp: DpConfig,
    *,
    model: nn.Module,
    teacher: Teacher | None,
    on_step: Callable[[], None] | None,
    device: torch.device,
    computing: Computing,
) -> PrivateTrainer:
    """With as much noise as all trainings of the run need together; alone or, with a teacher, in mutual learning."""
    return PrivateTrainer(
        model=model,
        train=train,
        config=config.training,
        device=device,
        noise_multiplier=planned_noise(config.training, dp, len(train)),
        key=_key(config, "alone" if teacher is None else "mutual learning"),
        stream=Stream,
        teacher=teacher,
        on_step=on_step,
        task=party_task(config),
        computing=computing,
    )


def privacy_spent(config: PartyConfig, inputs: PartyInputs) -> PrivacyRecord | None:
    """What a finished run has cost, for its record; None without training.dp."""
    dp = config.training.dp
    if dp is None:
        return None
    training, count = config.training, len(inputs.train)
    steps, sigma = planned_steps(training, count), planned_noise(training, dp, count)
    rate = sample_rate(training, count)
    return PrivacyRecord(
        epsilon=epsilon_spent(sigma, rate, steps, dp.delta),
        target_epsilon=dp.target_epsilon,
        delta=dp.delta,
        noise_multiplier=sigma,
        max_gradient_norm=dp.max_gradient_norm,
        sample_rate=rate,
        steps=steps,
    )


def _key(config: PartyConfig, training: str) -> bytes:
    if config.randomness == "seeded_insecure":
        return insecure_key(party_seed(config), f"noise of training, {training}")
    return fresh_entropy()
