"""The hand-over: what M sees of D's share, and that masks serve once."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from lattice_harness import Sides, plan_of, program_of, small_weights, uniform_values
from scipy.stats import chisquare
from torch import nn

from smule_crypten.errors import ProtocolError
from smule_crypten.lattice import handover
from smule_crypten.lattice.grid import cells_of
from smule_crypten.lattice.plan import Plan
from smule_crypten.lattice.ring import ternary
from smule_crypten.mpc.packing import signed, unpack
from smule_crypten.mpc.streams import Stream

IMAGES, SHAPE = 4, (2, 8, 8)


def sides() -> Sides:
    program = program_of(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1)), SHAPE)
    return Sides(plan_of(program, IMAGES), small_weights(program, 1))


def seen(plan: Plan, message: torch.Tensor) -> torch.Tensor:
    """b as M unpacks it, (C, n)."""
    (hand_over,) = plan.hand_overs
    count = hand_over.online_values(IMAGES)
    return signed(unpack(message, count, hand_over.value_bits), hand_over.value_bits).view(hand_over.channels, -1)


def difference(both: Sides, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """M's attack on two micro-batches: b - b', in units of x."""
    plan, messages = both.plan, []
    for x in (first, second):
        data_owner, _ = both.batch(IMAGES)
        messages.append(seen(plan, data_owner.hand_over(0, x)))
    (hand_over,) = plan.hand_overs
    return signed(messages[1] - messages[0], hand_over.value_bits).double() / 2.0 ** (
        hand_over.value_bits - hand_over.ring
    )


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    return uniform_values(1, (IMAGES, *SHAPE), 10), uniform_values(2, (IMAGES, *SHAPE), 10)


def test_the_difference_of_two_micro_batches_says_nothing() -> None:
    both, (first, second) = sides(), inputs()
    found = difference(both, first, second)
    (hand_over,) = both.plan.hand_overs
    true = cells_of(second - first, hand_over.grid.layout(IMAGES)).double()
    assert float((found - true).abs().median()) > 2.0 ** (hand_over.ring - 4)


def test_a_secret_for_two_micro_batches_gives_their_difference_away() -> None:
    """Control, broken: with the same s_j again, M reads the difference of the inputs to a few units."""

    def always_the_same(local: Stream, count: int, degree: int) -> torch.Tensor:
        return ternary(Stream(bytes(32)), count, degree)

    both, (first, second) = sides(), inputs()
    with mock.patch.object(handover, "ternary", always_the_same):
        found = difference(both, first, second)
    (hand_over,) = both.plan.hand_overs
    true = cells_of(second - first, hand_over.grid.layout(IMAGES)).double()
    assert float((found - true).abs().max()) < 1


def test_masks_encode_one_input() -> None:
    """The same masks again would be the broken variant: refused."""
    data_owner, _ = sides().batch(IMAGES)
    x, other = inputs()
    data_owner.hand_over(0, x)
    with pytest.raises(ProtocolError, match="masks of a micro-batch encode one input"):
        data_owner.hand_over(0, other)


@pytest.mark.parametrize("value", [0, -(1 << 31)], ids=["zeros", "as large as they can be"])
def test_what_is_sent_looks_uniform(value: int) -> None:
    """p, the masks without a pixel, and b: the top bits of each, over many secrets."""
    both = sides()
    plan, (hand_over,) = both.plan, both.plan.hand_overs
    found: dict[str, list[torch.Tensor]] = {"p": [], "padding": [], "b": []}
    for _ in range(30):
        data_owner, _ = both.batch(IMAGES)
        p, padding = data_owner.prepared_messages()
        count = plan.secrets(IMAGES) * plan.lattice.degree
        found["p"].append(unpack(p, count, plan.p_bits) >> (plan.p_bits - 4))
        top = hand_over.value_bits - 4
        found["padding"].append(unpack(padding, hand_over.prepared_values(IMAGES), hand_over.value_bits) >> top)
        message = data_owner.hand_over(0, torch.full((IMAGES, *SHAPE), value))
        found["b"].append(unpack(message, hand_over.online_values(IMAGES), hand_over.value_bits) >> top)
    for values in found.values():
        assert chisquare(torch.bincount(torch.cat(values), minlength=16).numpy()).pvalue > 1e-4


def test_the_shares_of_the_data_owner_are_known_beforehand() -> None:
    """They stand before its input does, and each alone is uniform."""
    both, top = sides(), []
    for _ in range(8):
        data_owner, _ = both.batch(IMAGES)
        (share,) = data_owner.shares.values()
        top.append((share.flatten() >> (both.plan.lattice.modulus_bits - 4)) + 8)
    assert chisquare(torch.bincount(torch.cat(top), minlength=16).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("images", [IMAGES - 1, 2 * IMAGES])
def test_shares_of_another_shape_are_refused(images: int) -> None:
    """More samples would go unseen, fewer would fail somewhere inside; the masks are still there afterwards."""
    program = program_of(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), (6,))
    both = Sides(plan_of(program, IMAGES), small_weights(program, 1))
    data_owner, model_owner = both.batch(IMAGES)
    with pytest.raises(ProtocolError, match=rf"shape \({images}, 4\) came where \({IMAGES}, 4\) is due"):
        data_owner.hand_over(1, torch.zeros(images, 4, dtype=torch.int64))
    message = data_owner.hand_over(1, torch.zeros(IMAGES, 4, dtype=torch.int64))
    with pytest.raises(ProtocolError, match=rf"shape \({images}, 4\) came where"):
        model_owner.multiply(1, message, torch.zeros(images, 4, dtype=torch.int64))


def test_the_model_owner_has_a_share_of_hidden_values_only() -> None:
    program = program_of(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), (6,))
    data_owner, model_owner = Sides(plan_of(program, IMAGES), small_weights(program, 1)).batch(IMAGES)
    shares = [torch.zeros(IMAGES, features, dtype=torch.int64) for features in (6, 4)]
    messages = [data_owner.hand_over(number, share) for number, share in enumerate(shares)]
    with pytest.raises(ProtocolError, match="has no share of the network's input"):
        model_owner.multiply(0, messages[0], shares[0])
    with pytest.raises(ProtocolError, match="has a share of a hidden value"):
        model_owner.multiply(1, messages[1], None)
