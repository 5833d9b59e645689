"""Mistakes that linear layers by ring-LWE invite, each made once on purpose: the check that would notice it does. And
what is outside of the promise, shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from unittest import mock

import pytest
import torch
from lattice_harness import Sides, plan_of, program_of, shared, small_weights, stream, uniform_values
from torch import nn

from smule_crypten.lattice import ring
from smule_crypten.lattice import weights as weights_module
from smule_crypten.lattice.parameters import ERROR_DEVIATION, LATTICES, hint_deviation
from smule_crypten.lattice.plan import HandOver, Plan
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import errors, product, spectrum, ternary, uniform
from smule_crypten.lattice.weights import MaskedWeights
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import signed
from smule_crypten.mpc.streams import Stream

Ternary = Callable[[Stream, int, int], torch.Tensor]


def secrets_repeat(draw: Ternary) -> bool:
    """Whether M masks two of its outputs, slots, layers or sets of weights under one u."""
    program = program_of(nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Conv2d(3, 4, 1)), (2, 12, 12))
    plan, local, drawn = plan_of(program, 8), stream(2, "M"), []
    public = PublicPolynomials(plan, insecure_key(2, "public"))

    def recorded(source: Stream, count: int, degree: int) -> torch.Tensor:
        drawn.append(draw(source, count, degree))
        return drawn[-1]

    with mock.patch.object(weights_module, "ternary", recorded):
        for seed in range(2):
            MaskedWeights(plan, public, small_weights(program, seed), local)
    secrets = torch.cat(drawn)
    return len(torch.unique(secrets, dim=0)) < len(secrets)


def from_the_beginning(local: Stream, count: int, degree: int) -> torch.Tensor:
    """The secrets of each layer and set of weights from the same place of a stream."""
    return ternary(Stream(bytes(32)), count, degree)


def test_secrets_that_begin_anew_are_caught() -> None:
    assert not secrets_repeat(ternary)
    assert secrets_repeat(from_the_beginning)


def plan_of_many() -> Plan:
    program = program_of(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1)), (2, 8, 8))
    return plan_of(program, 6)


def pairs_meet_again(plan: Plan, images: int) -> bool:
    """Whether two polynomials of a layer take the same slot and the same secret."""
    (hand_over,) = plan.hand_overs
    places = [hand_over.place(polynomial) for polynomial in range(hand_over.grid.polynomials(images))]
    assert len(places) > 2
    return len(set(places)) < len(places)


def test_a_pair_that_encrypts_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of_many()
    assert not pairs_meet_again(plan, 6)
    monkeypatch.setattr(HandOver, "place", lambda self, polynomial: (polynomial % self.slots, 0))
    assert pairs_meet_again(plan_of_fewer_slots(plan), 6)


def plan_of_fewer_slots(plan: Plan) -> Plan:
    return dataclasses.replace(plan, hand_overs=tuple(dataclasses.replace(one, slots=1) for one in plan.hand_overs))


class Counting(Stream):
    """A stream that says how many bytes have been taken."""

    taken = 0

    def _fill(self, target: memoryview) -> None:
        self.taken += len(target)
        super()._fill(target)


def by_rejection(local: Stream, count: int, degree: int) -> torch.Tensor:
    """Two bits a coefficient, drawn again where both are 1."""
    found: list[int] = []
    while len(found) < count * degree:
        found += [value - 1 for value in local.packed(8, 2).tolist() if value < 3]
    return torch.tensor(found[: count * degree]).view(count, degree)


def draws_depend_on_what_is_drawn(draw: Ternary) -> bool:
    """Whether streams of other keys stand at other places after as many polynomials."""
    sources = [Counting(insecure_key(seed, "steps")) for seed in range(8)]
    for source in sources:
        draw(source, 2, 64)
    assert sources[0].taken
    return len({source.taken for source in sources}) > 1


def test_sampling_by_rejection_is_caught() -> None:
    assert not draws_depend_on_what_is_drawn(ternary)
    assert not draws_depend_on_what_is_drawn(lambda source, count, degree: errors(source, (count, degree)))
    assert not draws_depend_on_what_is_drawn(lambda source, count, degree: uniform(source, count, degree, 44))
    assert draws_depend_on_what_is_drawn(by_rejection)


def test_limbs_that_are_too_wide_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of coefficients in one limb instead of two says itself that it is not exact."""
    drawn = stream(3, "limbs")
    a, s = uniform(drawn, 1, 2048, 51), ternary(drawn, 1, 2048)
    assert len(spectrum(a, 51).values) == 2
    product(spectrum(a, 51), spectrum(s, 2))
    widest = ring.exact_limb_bits(2048)
    monkeypatch.setattr(ring, "exact_limb_bits", lambda degree: widest + 18)
    assert len(spectrum(a, 51).values) == 1
    with pytest.raises(ArithmeticError, match="not exact"):
        product(spectrum(a, 51), spectrum(s, 2))


@pytest.mark.parametrize(("noise", "is_hidden"), [(64 * 0.3, True), (0.3e-4, False)])
def test_hints_without_noise_are_caught(noise: float, is_hidden: bool) -> None:
    """What D's own e', its rounding and s tell it of u and e1: under M's noise half of c1's variance is left; without
    it, next to nothing."""
    unit = 2.0 ** (51 - 41 + 14)
    left = hint_deviation(LATTICES[1], 10_000, 2.0**11 / math.sqrt(12), noise * unit)
    assert (left > 0.99 * ERROR_DEVIATION / math.sqrt(2)) == is_hidden
    assert is_hidden or left < ERROR_DEVIATION / 10


def test_a_perturbed_hand_over_takes_a_weight() -> None:
    """Outside of the promise: D adds a constant to one hidden unit, and every result moves by that times a weight.

    The message is as uniform as an honest one, so M cannot see it: semi-honest parties only.
    """
    program = program_of(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), (6,))
    plan, weights = plan_of(program, 1), small_weights(program, 1)
    hand_over = plan.hand_overs[1]
    (product_of,) = hand_over.products
    constant, unit = 1 << 12, plan.lattice.modulus_bits - hand_over.ring
    x = uniform_values(3, (1, 4), 12)
    found = []
    for added in (0, constant):
        data_owner, model_owner = Sides(plan, weights).batch(1)
        x_M, x_D = shared(hand_over, x << hand_over.fraction, 5)
        perturbed = x_D.clone()
        perturbed[0, 2] += added << hand_over.fraction
        share_M = model_owner.multiply(1, data_owner.hand_over(1, perturbed), x_M)[product_of.name]
        total = signed(share_M + data_owner.shares[product_of.name], plan.lattice.modulus_bits)
        found.append(total.double() / 2.0**unit)
    taken = (found[1] - found[0])[0] / constant
    assert (taken - weights[product_of.name][:, 2]).abs().max() < 1
