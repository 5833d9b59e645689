"""What each role sees is noise, whatever the other's secret; and the same tests find a leak where there is one."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from lean_harness import CPU, Dealings, converse, lean_config
from lean_views import (
    SeeingDataOwner,
    SeeingModelOwner,
    View,
    between_batches,
    can_tell_apart,
    differences,
    not_uniform,
)
from torch import nn

from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Opening, Program
from smule_crypten.fixed_point.scales import Scales, fit, plain_values
from smule_crypten.inference.lean.dealing import OpeningMaterial, PackedFields, corrections
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import translate
from smule_crypten.mpc.packing import packed_bytes

SHAPE = (1, 4, 4)
BATCHES = [2, 2]
RUNS = 48


@dataclass(frozen=True)
class Task:
    """Two networks of one architecture and two sets of inputs, under the same scales: the secrets to be told apart."""

    program: Program
    parameters: tuple[Parameters, Parameters]
    inputs: tuple[torch.Tensor, torch.Tensor]
    scales: Scales


@functools.cache
def task() -> Task:
    """Every kind of opening: a truncation, and comparisons in two levels of maxima; and two masked values."""
    torch.manual_seed(11)
    networks = []
    for _ in range(2):
        model = nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))
        networks.append(translate(model, SHAPE))
    program = lower(networks[0].architecture, lean_config(block_bits=5))
    inputs = torch.randn(2, sum(BATCHES), *SHAPE)
    values = plain_values(program, networks[0].parameters, inputs.flatten(0, 1))
    scales = fit(program, networks[0].parameters, values, 4, "differences")
    return Task(program, (networks[0].parameters, networks[1].parameters), (inputs[0], inputs[1]), scales)


def views(
    seed: int,
    *,
    weights: int = 0,
    inputs: int = 0,
    model_owner_class: type[SeeingModelOwner] = SeeingModelOwner,
    data_owner_class: type[SeeingDataOwner] = SeeingDataOwner,
) -> tuple[View, View]:
    """M's and D's view of one direction, under keys that belong to this seed alone."""
    case = task()
    dealings = Dealings(case.program, BATCHES, seed)
    model_owner = model_owner_class(
        case.program,
        CPU,
        BATCHES,
        parameters=case.parameters[weights],
        scales=case.scales,
        dealt=dealings.model_owner,
        local=dealings.local,
        receive_correction=dealings.correction,
    )
    data_owner = data_owner_class(case.program, CPU, BATCHES, inputs_NX=case.inputs[inputs], dealt=dealings.data_owner)
    converse(model_owner, data_owner)
    return model_owner.view, data_owner.view


@functools.cache
def ordinary() -> dict[tuple[int, int], list[tuple[View, View]]]:
    """(weights, inputs) -> both views of many runs."""
    return {
        (weights, inputs): [views(seed + RUNS * number, weights=weights, inputs=inputs) for seed in range(RUNS)]
        for number, (weights, inputs) in enumerate([(0, 0), (0, 1), (1, 0)])
    }


def together(runs: list[tuple[View, View]], role: int) -> list[View]:
    """A role's view of each run, with the differences of its two micro-batches, which a reused mask would lay open."""
    found = []
    for run in runs:
        halves = between_batches(run[role])
        found.append(run[role] | {(2, kind): seen for (_, kind), seen in halves.items()})
    return found


KINDS = [
    {"handed over", "opened", "bits", "dealt result", "dealt lift", "dealt high", "dealt word0", "dealt product0",
     "dealt selector", "dealt selected_mask", "dealt selected_high"},
    {"weight", "opened", "bits"},
]  # fmt: skip


@pytest.mark.parametrize("role", [0, 1], ids=["model_owner", "data_owner"])
def test_views_are_uniform(role: int) -> None:
    """For one fixed input and one fixed network, under fresh keys: every bit and byte of every message that a role
    receives, at its packed width, is uniform, and so are the differences between micro-batches and between exchanges.
    """
    runs = ordinary()[0, 0]
    recorded = together(runs, role)
    assert {kind.rsplit(" ", 1)[0] for _, kind in recorded[0]} >= KINDS[role]
    assert not_uniform(recorded) == []
    pairs = [differences(first[role], second[role]) for first, second in zip(runs[::2], runs[1::2], strict=True)]
    assert not_uniform(pairs) == []


@pytest.mark.parametrize(("role", "other"), [(0, (0, 1)), (1, (1, 0))], ids=["model_owner", "data_owner"])
def test_two_secrets_look_the_same(role: int, other: tuple[int, int]) -> None:
    """M cannot tell two inputs apart, and D cannot tell two networks apart by what comes before its output. (That the
    output adds nothing but itself is what test_lean_joint_views.py looks at.)
    """
    found = ordinary()
    assert not can_tell_apart(together(found[0, 0], role), together(found[other], role))


def without_mask(material: OpeningMaterial, opening: Opening, batch: int) -> OpeningMaterial:
    data = material.drawn.data.clone()
    data[: packed_bytes(batch * opening.elements, opening.width)] = 0
    return OpeningMaterial(PackedFields(data, material.drawn.fields), material.dealt, material.dtype)


class UnmaskedDataOwner(SeeingDataOwner):
    """Leaves the mask of its last opening away: M learns the value."""

    def _material(self, opening: Opening, batch: int) -> OpeningMaterial:
        material = super()._material(opening, batch)
        return material if self._materials else without_mask(material, opening, batch)


class UnmaskedModelOwner(SeeingModelOwner):
    """Leaves the mask of its truncation away: D learns the value."""

    def _material(self, opening: Opening, batch: int) -> OpeningMaterial:
        material = super()._material(opening, batch)
        return without_mask(material, opening, batch) if opening.offset else material


class PlainlySpeakingDataOwner(SeeingDataOwner):
    """Leaves its part of rho away: M learns the low bits of a value."""

    def _material(self, opening: Opening, batch: int) -> OpeningMaterial:
        material = super()._material(opening, batch)
        count = batch * opening.elements
        data, start = material.drawn.data.clone(), packed_bytes(count, opening.width)
        if opening.fraction:
            data[start : start + packed_bytes(count, opening.fraction)] = 0
        return OpeningMaterial(PackedFields(data, material.drawn.fields), material.dealt, material.dtype)


class RepeatingDataOwner(SeeingDataOwner):
    """Hides the inputs of all micro-batches under one mask: M learns their difference."""

    first: dict[int, torch.Tensor] | None = None

    def _prepare(self, batch: int) -> None:
        super()._prepare(batch)
        self.first = dict(self._masks) if self.first is None else self.first
        self._masks = dict(self.first)


def leaky(role: int, secret: str, **classes: Any) -> list[list[View]]:
    """Views of the two values of a secret, with a role that leaks."""
    return [
        together([views(5000 + RUNS * value + seed, **{secret: value}, **classes) for seed in range(RUNS)], role)
        for value in (0, 1)
    ]


def test_a_missing_mask_is_found_at_the_model_owner() -> None:
    """Control: one opening of D without a mask, and both tests see it, at that message."""
    first, second = leaky(0, "inputs", data_owner_class=UnmaskedDataOwner)
    assert (0, "opened 2") in not_uniform(first)
    assert can_tell_apart(first, second)


def test_a_missing_mask_is_found_at_the_data_owner() -> None:
    """Control: one opening of M without a mask."""
    first, second = leaky(1, "weights", model_owner_class=UnmaskedModelOwner)
    assert (0, "opened 0") in not_uniform(first)
    assert can_tell_apart(first, second)


def test_low_bits_without_their_mask_are_found() -> None:
    """Control: D says its share with the low bits as they are."""
    first, _ = leaky(0, "inputs", data_owner_class=PlainlySpeakingDataOwner)
    assert (0, "opened 0") in not_uniform(first)


def test_a_mask_used_twice_is_found() -> None:
    """Control: each message under a repeated mask is uniform by itself, its difference to the other is not."""
    first, second = leaky(0, "inputs", data_owner_class=RepeatingDataOwner)
    assert {kind for batch, kind in not_uniform(first) if batch == 2} >= {"handed over 0"}
    assert (0, "handed over 0") not in not_uniform(first)
    assert can_tell_apart(first, second)


def test_weights_masked_twice_by_one_mask_are_found() -> None:
    """Control: two versions of a network under one A are their difference to D. (That is why A is new for each.)"""
    pairs = [differences(views(9000 + seed)[1], views(9000 + seed, weights=1)[1]) for seed in range(RUNS)]
    assert {"weight 0", "weight 1"} <= {kind for _, kind in not_uniform(pairs)}


def test_the_dealer_is_told_nothing() -> None:
    """What the dealer deals follows from the public program, the sizes of the batches and its own streams: it receives
    no message of either party, so the two secrets of a run cannot reach it.
    """
    assert list(inspect.signature(corrections).parameters) == ["program", "batches", "model_owner", "data_owner"]
    dealt = []
    for secret in (0, 1):
        case, dealings = task(), Dealings(task().program, BATCHES, seed=1)
        received: list[torch.Tensor] = []

        def correction(
            num_bytes: int, dealings: Dealings = dealings, into: list[torch.Tensor] = received
        ) -> torch.Tensor:
            into.append(dealings.correction(num_bytes))
            return into[-1]

        model_owner = SeeingModelOwner(
            case.program, CPU, BATCHES, parameters=case.parameters[secret], scales=case.scales,
            dealt=dealings.model_owner, local=dealings.local, receive_correction=correction,
        )  # fmt: skip
        data_owner = SeeingDataOwner(
            case.program, CPU, BATCHES, inputs_NX=case.inputs[secret], dealt=dealings.data_owner
        )
        converse(model_owner, data_owner)
        dealt.append(torch.cat(received))
    assert torch.equal(*dealt)
