"""Both roles of one direction of the scheme of the two parties alone in one process, with ideal transfers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from comparison_harness import Parties, ideal_parties
from lean_harness import Message, converse
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.fixed_point_answers import FixedPointAnswerer, fixed_point_answerer
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.scheme import micro_batches
from smule_crypten.inference.two_party.ideal import TwoPartyArithmetic
from smule_crypten.lattice.parameters import GUARD_BITS
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.models.translate import translate
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.two_party.data_owner import DataOwner
from smule_crypten.two_party.model_owner import ModelOwner
from smule_crypten.two_party.plan import DirectionPlan, plan_direction
from smule_crypten.types import LogitOpening


def two_party_config(*, precision_bits: int = 14, micro_batch: int = 64, **options: int) -> SchemeConfig:
    return SchemeConfig(name="two_party", precision_bits=precision_bits, micro_batch=micro_batch, options=options)


@dataclass
class Direction:
    """A whole direction, set up but not run."""

    plan: DirectionPlan
    answerer: FixedPointAnswerer
    model_owner: ModelOwner
    data_owner: DataOwner

    def run(self) -> tuple[torch.Tensor, list[Message]]:
        """The logits that D gets, and everything that was said."""
        _, logits_NC, said = converse(self.model_owner, self.data_owner)  # type: ignore[arg-type]
        return logits_NC, said


def direction(
    model: nn.Module,
    inputs_NX: torch.Tensor,
    config: SchemeConfig,
    *,
    seed: int = 0,
    opening: LogitOpening = "differences",
    output_noise: Callable[[tuple[int, ...]], torch.Tensor | None] = lambda size: None,
    parties: Parties | None = None,
    calibration_NX: torch.Tensor | None = None,
    guard_bits: int = GUARD_BITS,
    data_owner_class: Callable[..., DataOwner] = DataOwner,
    device: torch.device | None = None,
) -> Direction:
    """Calibrated on the inputs themselves, unless others are given."""
    network = translate(model, tuple(inputs_NX.shape[1:]))
    plan = plan_direction(network.architecture, micro_batches(len(inputs_NX), config), config, guard_bits=guard_bits)
    known_NX = inputs_NX if calibration_NX is None else calibration_NX
    noise, arithmetic = NoiseRule.without_protection(), TwoPartyArithmetic(network.architecture)
    answerer = fixed_point_answerer(network, known_NX, config, noise, torch.device("cpu"), opening, arithmetic)
    key, ours, theirs = (insecure_key(seed, f"test {who}") for who in ("public", "model owner", "data owner"))
    parties = parties or ideal_parties(seed)
    widths = [(one.widths, batch * one.opening.elements) for batch in plan.batches for one in plan.activations]
    material = [parties.material(*one) for one in widths]
    model_material, data_material = (
        (iter(side) for side in zip(*material, strict=True)) if material else (iter(()),) * 2
    )
    return Direction(
        plan,
        answerer,
        ModelOwner(
            plan,
            public=PublicPolynomials(plan.lattice, key),
            parameters=answerer.parameters,
            scales=answerer.scales,
            local=Stream(ours),
            material=lambda: next(model_material),
            output_noise=output_noise,
            opening=opening,
            device=device,
        ),
        data_owner_class(
            plan,
            public=PublicPolynomials(plan.lattice, key),
            inputs_NX=inputs_NX,
            local=Stream(theirs),
            material=lambda: next(data_material),
            opening=opening,
        ),
    )
