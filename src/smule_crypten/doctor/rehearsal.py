"""A rehearsal of an exchange on this machine: both parties and, if one deals, the dealer are processes of our own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.config.run import PartyConfig
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.zoo import build_model
from smule_crypten.party.inputs import party_seed
from smule_crypten.party.local_exchange import Side, exchange_here
from smule_crypten.types import Cost, opened_logits


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Each side asked about num_samples; seconds are those of the whole exchange, costs those of party a and b."""

    num_samples: int
    seconds: float
    max_abs_logit_error: float
    costs: tuple[Cost, Cost]


def rehearse(config: PartyConfig, inputs_NX: torch.Tensor, num_classes: int) -> Rehearsal:
    """Let the party's network, with its initial weights, answer its own samples through the secure protocol.

    Args:
        config: of this party; its settings are those of the exchange.
        inputs_NX: normalised, float32.
        num_classes: outputs of the network.

    Raises:
        PartyFailedError: one of the processes failed; the message names the cause.
    """
    shape = tuple(inputs_NX.shape[1:])
    model = build_model(config.model, shape, num_classes, party_seed(config))
    network = translate_checked(model, shape, inputs_NX)
    # Both roles are this process's own: there is nobody to hide anything from, and the error is what is asked for.
    side = Side(network=network, inputs=inputs_NX, noise=NoiseRule.without_protection())
    played = exchange_here(
        (side, side),
        config.scheme,
        config.launch,
        opening=config.opening,
        dealt=config.needs_dealer,
        repeats=2,
    )
    (prediction, seconds), (others, _) = played
    expected_NC = opened_logits(evaluate_plaintext(network, inputs_NX), config.opening)
    error = (prediction.logits_NC - expected_NC).abs().max()
    return Rehearsal(
        num_samples=len(inputs_NX),
        seconds=seconds,
        max_abs_logit_error=float(error),
        costs=(prediction.cost, others.cost),
    )
