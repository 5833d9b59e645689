"""Masked weights: what D gets of them says nothing, unless a secret serves twice; and what M refuses to mask."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
import torch
from lattice_harness import SMALL, Sides, plan_of, program_of, small_weights, stream
from scipy.stats import chisquare
from torch import nn

from smule_crypten.errors import ProtocolError, UnshareableModelError
from smule_crypten.fixed_point.lowering import OUTPUT_GUARD_BITS
from smule_crypten.lattice import weights as weights_module
from smule_crypten.lattice.plan import Plan
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import ternary, uniform
from smule_crypten.lattice.weights import MaskedWeights
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import signed, unpack
from smule_crypten.mpc.streams import Stream

LARGEST = 200
"""Of the weights that the attack tries."""


def scalar_layer() -> tuple[Plan, dict[str, torch.Tensor]]:
    """One input channel, two outputs, a kernel of one weight."""
    program = program_of(nn.Sequential(nn.Conv2d(1, 2, 1, bias=False)), (1, 6, 6))
    return plan_of(program, 3), {program.products[0].name: torch.tensor([[[[57]]], [[[-101]]]])}


def received(plan: Plan, message: torch.Tensor) -> torch.Tensor:
    """c1 as D sees it, (slots, O, N), float64, in units of residues."""
    (product,) = plan.hand_overs[0].products
    values = unpack(message, plan.c1_values(plan.hand_overs[0], product), product.c1_bits)
    shift = plan.lattice.modulus_bits - product.c1_bits
    return signed(values << shift, plan.lattice.modulus_bits).view(-1, product.outputs, plan.lattice.degree)


def differences_that_fit(plan: Plan, sides: Sides) -> list[int]:
    """Differences d of the two weights for which c1_0 - c1_1 - d a is small: D's attack, on each slot."""
    c1 = received(plan, sides.weight_messages[0])
    slots = c1.size(0)
    found = []
    for slot in range(slots):
        difference, a = c1[slot, 0] - c1[slot, 1], sides.public.a[0][slot, 0]
        for candidate in range(-2 * LARGEST, 2 * LARGEST + 1):
            rest = signed(difference - candidate * a, plan.lattice.modulus_bits)
            if float(rest.abs().max()) < 2.0 ** (plan.lattice.modulus_bits - 10):
                found.append(candidate)
    return found


def one_for_all(local: Stream, count: int, degree: int) -> torch.Tensor:
    return ternary(local, 1, degree).expand(count, degree)


def test_the_difference_of_masked_weights_says_nothing() -> None:
    plan, weights = scalar_layer()
    assert differences_that_fit(plan, Sides(plan, weights)) == []


def test_a_secret_for_two_outputs_gives_their_difference_away() -> None:
    """Control, broken: with one u for all outputs, D reads the difference of their weights."""
    plan, weights = scalar_layer()
    with mock.patch.object(weights_module, "ternary", one_for_all):
        sides = Sides(plan, weights)
    assert set(differences_that_fit(plan, sides)) == {57 + 101}


def test_a_secret_for_two_sets_of_weights_gives_their_difference_away() -> None:
    """Control, broken: M masks its next weights with the same stream under the same public polynomials."""
    plan, weights = scalar_layer()
    public = PublicPolynomials(plan, insecure_key(1, "public"))
    changed = {name: weight + 3 for name, weight in weights.items()}
    first, again, fresh = (
        received(plan, MaskedWeights(plan, public, values, stream(seed, "M")).messages()[0])
        for values, seed in ((weights, 1), (changed, 1), (changed, 2))
    )
    a, bits = public.a[0][0, 0], plan.lattice.modulus_bits
    assert float(signed(again[0, 0] - first[0, 0] - 3 * a, bits).abs().max()) < 2.0 ** (bits - 10)
    assert float(signed(fresh[0, 0] - first[0, 0] - 3 * a, bits).abs().max()) > 2.0 ** (bits - 3)


def test_every_mask_is_its_own() -> None:
    """No two secrets alike among outputs, slots and layers, nor between two sets of weights from one stream."""
    program = program_of(nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Conv2d(3, 4, 1)), (2, 12, 12))
    plan, weights, local = plan_of(program, 8), small_weights(program, 1), stream(2, "M")
    public, drawn = PublicPolynomials(plan, insecure_key(2, "public")), []

    def recorded(source: Stream, count: int, degree: int) -> torch.Tensor:
        drawn.append(ternary(source, count, degree))
        return drawn[-1]

    with mock.patch.object(weights_module, "ternary", recorded):
        for _ in range(2):
            MaskedWeights(plan, public, weights, local)
    secrets = torch.cat(drawn)
    slots = [hand_over.slots for hand_over in plan.hand_overs]
    assert max(slots) > 1
    assert len(secrets) == 2 * (3 * slots[0] + 4 * slots[1])
    assert len(torch.unique(secrets, dim=0)) == len(secrets)


def test_masked_weights_look_uniform() -> None:
    """Whatever the weights: the largest ones that are accepted, and zero."""
    plan, weights = scalar_layer()
    for value in (0, int(plan.norm_bound(plan.hand_overs[0], plan.hand_overs[0].products[0]))):
        constant = {name: torch.full_like(weight, value) for name, weight in weights.items()}
        c1 = torch.cat([received(plan, Sides(plan, constant, seed).weight_messages[0]).flatten() for seed in range(20)])
        counts = torch.bincount((c1 >> (plan.lattice.modulus_bits - 4)) + 8, minlength=16)
        assert chisquare(counts.numpy()).pvalue > 1e-4


def test_masked_weights_are_sent_once() -> None:
    plan, weights = scalar_layer()
    masked = MaskedWeights(plan, PublicPolynomials(plan, bytes(32)), weights, stream(3, "M"))
    masked.messages()
    with pytest.raises(ProtocolError, match="sent once"):
        masked.messages()


def test_weights_beyond_the_bound_are_refused() -> None:
    """By the layer, the output, and what helps; at the bound they are taken."""
    plan, weights = scalar_layer()
    (name,) = weights
    bound = int(plan.norm_bound(plan.hand_overs[0], plan.hand_overs[0].products[0]))
    weights[name][1] = bound
    assert Sides(plan, weights).weight_messages
    weights[name][1] = -bound - 1
    with pytest.raises(UnshareableModelError, match=rf"layer {name}.*output 1 are 1 times.*weight decay"):
        Sides(plan, weights)


@pytest.mark.parametrize(
    ("layer", "option"), [(0, "raise scheme.options.input_bits"), (1, "lower scheme.options.ring_bits")]
)
def test_what_helps_against_large_weights_depends_on_the_layer(layer: int, option: str) -> None:
    program = program_of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), (2,))
    plan, weights = plan_of(program, 2), small_weights(program, 1)
    hand_over, (product,) = plan.hand_overs[layer], plan.hand_overs[layer].products
    weights[product.name][0, 0] = 2 * int(plan.norm_bound(hand_over, product))
    with pytest.raises(UnshareableModelError, match=rf"layer {product.name}.*weight decay, {option}, or"):
        Sides(plan, weights)


def test_the_bound_keeps_the_error_below_a_unit() -> None:
    """Below as many units of the output, which nothing rounds, as its ring is wider than its values; below eight where
    the network's input is multiplied."""
    plan, _ = scalar_layer()
    of_input, (product,) = plan.hand_overs[0], plan.hand_overs[0].products
    hand_over = replace(of_input, is_input=False)
    output = product.step
    wider = 2.0 ** (output.ring - output.width - output.fraction)
    assert wider == 2.0**OUTPUT_GUARD_BITS
    bound = plan.norm_bound(hand_over, product)
    assert 1.0 <= plan.deviation(hand_over, product, bound) / wider < 1.001
    hidden = replace(product, step=replace(output, ring=output.width + output.fraction))
    assert 1.0 <= plan.deviation(hand_over, hidden, plan.norm_bound(hand_over, hidden)) < 1.001
    assert 8.0 <= plan.deviation(of_input, hidden, plan.norm_bound(of_input, hidden)) < 8.001


def test_both_parties_draw_the_same_public_polynomials() -> None:
    """And others with another key."""
    plan, _ = scalar_layer()
    one, same, other = (PublicPolynomials(plan, insecure_key(seed, "public")) for seed in (1, 1, 2))
    assert torch.equal(one.p, same.p)
    assert all(torch.equal(*pair) for pair in zip(one.a, same.a, strict=True))
    assert not torch.equal(one.p, other.p)
    assert len(torch.unique(torch.cat([one.p.view(1, -1), *(a.flatten(0, 1) for a in one.a)]), dim=0)) == 1 + sum(
        a.size(0) * a.size(1) for a in one.a
    )


def test_uniform_polynomials_are_uniform() -> None:
    values = uniform(stream(4, "uniform"), 512, SMALL.degree, SMALL.modulus_bits).flatten()
    for shift in (0, SMALL.modulus_bits - 4):
        assert chisquare(torch.bincount((values >> shift) & 15, minlength=16).numpy()).pvalue > 1e-4
