"""What a data owner that deviates can take: holds docs/threat-model.md to the truth."""

from __future__ import annotations

from functools import partial

import torch
from lean_harness import Direction, Message, direction, lean_config
from shifted_units import relative_error, stolen_weights
from torch import nn

from smule_crypten.fixed_point.program import Step
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.lean.roles import Share, Talk

UNITS, CLASSES = 16, 5
NOISE = 0.1
SHIFTS = (1 << 16, 1 << 19, 1 << 22, 1 << 25)


class DeviatingDataOwner(DataOwner):
    """Adds to its share of what the last layer reads, and follows the protocol in everything else."""

    shifts: torch.Tensor

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        if step.name == self._program.products[-1].name:
            share = share + self.shifts
        return super()._hand_over(position, step, share)


def network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(1)
    layers = nn.Sequential(
        nn.Flatten(), nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, UNITS), nn.ReLU(), nn.Linear(UNITS, CLASSES)
    )
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return layers


def asked(count: int, data_owner: type[DataOwner]) -> Direction:
    """One image, asked about count times; the owner of the network adds noise to every logit."""
    generator = torch.Generator().manual_seed(2)
    known = torch.randn(64, 1, 3, 3, generator=generator)
    model_owner = partial(ModelOwner, output_noise=lambda size: NOISE * torch.randn(size, generator=generator).double())
    return direction(
        network(),
        known[:1].expand(count, -1, -1, -1),
        lean_config(precision_bits=14, micro_batch=count),
        calibration_NX=known,
        model_owner_class=model_owner,
        data_owner_class=data_owner,
    )


def shape_of(said: list[Message]) -> list[tuple[bool, str, int]]:
    return [(message.from_model_owner, message.post.layer, message.post.data.nbytes) for message in said]


def test_a_data_owner_that_deviates_takes_the_last_layer_unseen() -> None:
    """Adding a constant to one hidden unit a query gives the last layer to 2 %, through the owner's noise, in 65
    queries. The owner of the network sees messages of the same kinds and sizes in the same order, each under a mask,
    and its part of the protocol ends in order."""
    heard: list[Message] = []

    def answer(shifts: torch.Tensor) -> torch.Tensor:
        deviating = asked(len(shifts), DeviatingDataOwner)
        assert isinstance(deviating.data_owner, DeviatingDataOwner)
        deviating.data_owner.shifts = shifts
        logits_NC, said = deviating.run()
        heard.extend(said)
        return logits_NC

    # The ring is public, and the owner of the network announces the scale of its logits.
    honest = asked(len(SHIFTS) * UNITS + 1, DataOwner)
    _, honestly_said = honest.run()
    period = 2.0 ** (honest.program.output.ring - honest.scales.scales[-1])
    stolen = stolen_weights(answer, UNITS, SHIFTS, period)
    weights = network()[-1].weight.detach()
    assert relative_error(stolen, weights) < 0.02
    assert relative_error(torch.randn(stolen.shape, generator=torch.Generator().manual_seed(3)), weights) > 0.5
    assert shape_of(heard) == shape_of(honestly_said)
    assert len(honest.batches) == 1
    assert sum(honest.batches) == 65
