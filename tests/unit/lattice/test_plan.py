"""The packing of the specification's reference network, and bytes that are known before anything runs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_harness import SMALL, Sides, plan_of, program_of, small_weights, uniform_values
from test_linear_layers import Residual, hidden, reference
from torch import nn

from smule_crypten.errors import ConfigError, ProtocolError, UnshareableModelError
from smule_crypten.fixed_point.program import Program
from smule_crypten.lattice.grid import Axis, fit
from smule_crypten.lattice.packing_plan import plan_lattice
from smule_crypten.lattice.parameters import LATTICES, Lattice
from smule_crypten.lattice.plan import Plan
from smule_crypten.lattice.weights import received_weights

KB = 1000
QUERIES, BATCH = 200, 64


def in_rings_of_32_bits() -> Program:
    """The reference network where the last layer has no wider ring than the others, as in the specification."""
    program = program_of(reference(), (3, 32, 32))
    return Program(tuple(dataclasses.replace(step, ring=32) for step in program.steps), program.input_bits)


def test_the_packing_of_whole_images() -> None:
    """The specification's: rows of width W + 1, a row of zeros an image; 1, 7 and 25 images of 32, 16 and 8 pixels."""
    for size, row_pitch, images in ((32, 33, 1), (16, 17, 7), (8, 9, 25)):
        axis = Axis(size, size // 2, 2, 1, tuple(range(4)))
        grid = fit("conv", axis, axis, 2048)
        assert (grid.row_pitch, grid.pieces_per_polynomial) == (row_pitch, images)


def test_the_packing_of_the_reference_network() -> None:
    """The first layer's images are taken apart by their stride, 7 instead of 1 a polynomial; 64 vectors of the last one
    are cut so that they fit into one. That leaves one slot a layer and 10 secrets for 64 images."""
    plan = plan_lattice(in_rings_of_32_bits(), BATCH, 3)
    assert plan.lattice == LATTICES[0]
    assert [hand_over.grid.pieces_per_polynomial for hand_over in plan.hand_overs] == [7, 7, 25, 64]
    assert [hand_over.spread.phases for hand_over in plan.hand_overs] == [(2, 2), (1, 1), (1, 1), (1, 1)]
    assert [hand_over.channels for hand_over in plan.hand_overs] == [12, 16, 32, 32]
    assert [hand_over.slots for hand_over in plan.hand_overs] == [1, 1, 1, 1]
    assert plan.secrets(BATCH) == 10


def test_the_bytes_of_the_reference_network() -> None:
    """Without guard bits no more than the specification's 48.8 KB a query for x, 6.0 for weights and 2.2 for p."""
    plan = plan_lattice(in_rings_of_32_bits(), BATCH, 3, guard_bits=0)
    assert plan.prepared_bytes(BATCH) + plan.online_bytes(BATCH) < 48.8 * KB * BATCH
    assert plan.weight_bytes < 6.0 * KB * QUERIES
    assert plan.p_bytes(BATCH) < 2.2 * KB * BATCH


def test_guard_bits_cost_what_they_count() -> None:
    """6 bits more for each coefficient of b behind the first layer, and of c1 and p."""
    plans = [plan_lattice(in_rings_of_32_bits(), BATCH, 3, guard_bits=bits) for bits in (0, 6)]
    coefficients = [h.online_values(BATCH) + h.prepared_values(BATCH) for h in plans[0].hand_overs[1:]]
    less, more = (plan.prepared_bytes(BATCH) + plan.online_bytes(BATCH) for plan in plans)
    assert more - less == sum(coefficients) * 6 // 8
    assert plans[1].weight_bytes - plans[0].weight_bytes == (16 + 32 + 64 + 10) * 2048 * 6 // 8
    assert plans[1].p_bytes(BATCH) - plans[0].p_bytes(BATCH) == 10 * 2048 * 6 // 8


NETWORKS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (Residual(nn.Conv2d(4, 3, 1, 2)), (2, 10, 10)),
    (hidden(nn.Conv2d(2, 2, 3, padding=1), (2, 20, 40)), (2, 20, 40)),
    (hidden(nn.Conv1d(2, 3, 5, 2, 4), (2, 50)), (2, 50)),
    (hidden(nn.Linear(300, 4), (300,)), (300,)),
]


@given(st.sampled_from(range(len(NETWORKS))), st.integers(1, 9), st.integers(1, 9), st.integers(1, 50))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_bytes_are_those_of_the_messages(network: int, images: int, last: int, micro_batches: int) -> None:
    """Whole micro-batches, smaller last ones, any number of slots: the plan's bytes are those of the arrays made."""
    program = program_of(*NETWORKS[network])
    plan = plan_of(program, images, micro_batches=micro_batches)
    sides = Sides(plan, small_weights(program, 1))
    assert sum(message.nbytes for message in sides.weight_messages) == plan.weight_bytes
    for count in {images, min(last, images)}:
        data_owner, _ = sides.batch(count)
        prepared = data_owner.prepared_messages()
        assert prepared[0].nbytes == plan.p_bytes(count)
        assert sum(message.nbytes for message in prepared[1:]) == plan.prepared_bytes(count)
        online = 0
        for number, hand_over in enumerate(plan.hand_overs):
            x = uniform_values(1, (count, *program.steps[hand_over.position].shape), 10)
            online += data_owner.hand_over(number, x).nbytes
        assert online == plan.online_bytes(count)


@pytest.mark.parametrize("images", [1, 5, 64])
def test_a_public_polynomial_meets_a_secret_once(images: int) -> None:
    """Two polynomials under one pair (a_c, s_j) would give their difference away."""
    plan = plan_lattice(in_rings_of_32_bits(), 64, 3)
    for hand_over in plan.hand_overs:
        places = [hand_over.place(polynomial) for polynomial in range(hand_over.grid.polynomials(images))]
        assert len(set(places)) == len(places)
        assert max(slot for slot, _ in places) < hand_over.slots
        assert max(secret for _, secret in places) < plan.secrets(images)


def test_more_sets_of_weights_take_fewer_slots() -> None:
    """Slots cost bytes with each set of weights, secrets with each micro-batch."""
    program = program_of(nn.Sequential(nn.Conv2d(3, 16, 3, padding=1)), (3, 32, 32))
    plans = [plan_lattice(program, 64, count) for count in (1, 3, 30, 300)]
    slots, secrets = [plan.hand_overs[0].slots for plan in plans], [plan.secrets(64) for plan in plans]
    assert slots == sorted(slots)
    assert secrets == sorted(secrets, reverse=True)
    assert slots[0] < slots[-1]


def test_only_what_a_window_takes_is_sent() -> None:
    """A convolution of 1x1 with stride 2 takes a quarter of the pixels, and no padding."""
    program = program_of(nn.Sequential(nn.Conv2d(2, 3, 1, 2)), (2, 16, 16))
    plan = plan_of(program, 3)
    (hand_over,) = plan.hand_overs
    assert hand_over.online_values(3) == 3 * 2 * 8 * 8
    assert hand_over.prepared_values(3) == 0


def test_messages_of_another_length_are_refused() -> None:
    program = program_of(*NETWORKS[0])
    plan = plan_of(program, 2)
    sides = Sides(plan, small_weights(program, 1))
    with pytest.raises(ProtocolError, match=r"masked weights of layer .* came in"):
        received_weights(plan, [sides.weight_messages[0][:-1], *sides.weight_messages[1:]])
    with pytest.raises(ProtocolError, match="messages of masked weights"):
        received_weights(plan, sides.weight_messages[1:])
    data_owner, model_owner = sides.batch(2)
    with pytest.raises(ProtocolError, match=r"the input of layer .* came in"):
        model_owner.multiply(0, torch.zeros(3, dtype=torch.uint8), None)
    assert data_owner.prepared_messages()


def of_default_options() -> Plan:
    return plan_lattice(program_of(reference(), (3, 32, 32)), 64, 3)


def test_the_wider_ring_of_the_output_takes_a_larger_modulus() -> None:
    """With 9 bits of room for the logits, an error e would be 0.4 units of each of the last layer's inputs, known to D:
    in the modulus that is taken it stays at what the guard bits leave of D's own rounding."""
    plan = of_default_options()
    assert plan.lattice == LATTICES[1]
    guard = 2.0**-plan.guard_bits / 12**0.5
    assert [plan.known_deviation(hand_over) / guard for hand_over in plan.hand_overs[1:]] == pytest.approx(
        [1.0, 1.0, 1.22], abs=0.01
    )
    smaller = plan_lattice(program_of(reference(), (3, 32, 32)), 64, 3, insecure_lattice=LATTICES[0])
    assert smaller.known_deviation(smaller.hand_overs[-1]) > 0.4


def test_a_sum_of_many_values_needs_fewer_guard_bits() -> None:
    """Behind an average over 64 places a unit is 6 bits finer: three guard bits leave the same share of its error, and
    the lattice has room for no more. D sends all six that its share has: what it rounds away must not depend on how
    the value is parted."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(4, 3))
    plan = plan_lattice(program_of(network, (1, 8, 8)), 64, 3)
    last = plan.hand_overs[-1]
    assert last.ring == 47
    assert last.value_bits == 47 + 6
    assert plan.lattice == LATTICES[-1]
    assert plan.known_deviation(last) < 1.01 * 2.0**-3 / 12**0.5


def test_a_head_on_features_takes_one_secret() -> None:
    """1,280 features: 40 channels of 32, so that 64 samples share a polynomial; 4.75 bytes a feature and query."""
    program = program_of(nn.Sequential(nn.Linear(1280, 128), nn.ReLU(), nn.Linear(128, 10)), (1280,))
    plan = plan_lattice(program, 64, 3)
    assert plan.secrets(64) == 1
    assert plan.prepared_bytes(64) == 0
    assert plan.online_bytes(64) == 64 * (1280 * 35 + 128 * 47) // 8


@pytest.mark.parametrize("weak", [SMALL, Lattice(2048, 53, 128.0, "without hints only")], ids=["small", "no hints"])
def test_a_weak_lattice_is_taken_only_where_it_is_called_insecure(weak: Lattice) -> None:
    program = program_of(nn.Sequential(nn.Linear(8, 2)), (8,))
    with pytest.raises(ConfigError, match=r"128 bits of security with hints.*insecure_lattice"):
        plan_lattice(program, 2, 1, lattice=weak)
    assert plan_lattice(program, 2, 1, insecure_lattice=weak).lattice == weak
    assert plan_lattice(program, 2, 1, lattice=LATTICES[-1]).lattice == LATTICES[-1]


@pytest.mark.parametrize(("ring_bits", "precision_bits", "layer"), [(48, 16, 3), (56, 20, 1), (60, 20, 1)])
def test_a_ring_too_wide_for_guard_bits_is_refused(ring_bits: int, precision_bits: int, layer: int) -> None:
    """By the layer, its ring and what to lower. 48 bits are too many for the logits'
    9 bits more, 56 and 60 for every hidden value."""
    program = program_of(reference(), (3, 32, 32), precision_bits, ring_bits=ring_bits)
    name = program.products[layer].name
    ring = program.steps[program.products[layer].inputs[0]].ring
    with pytest.raises(UnshareableModelError, match=rf"layer {name}.*ring of {ring} bits.*scheme.options.ring_bits"):
        plan_lattice(program, 64, 3)


def test_the_widest_ring_keeps_its_guard_bits() -> None:
    """46 bits, and 9 more for the logits: what D knows is within twice what 6 guard bits leave."""
    program = program_of(reference(), (3, 32, 32), 16, ring_bits=46)
    plan = plan_lattice(program, 64, 3)
    known = max(plan.known_deviation(hand_over) for hand_over in plan.hand_overs[1:])
    assert plan.hand_overs[-1].ring == 55
    assert 1.5 < known / (2.0**-6 / 12**0.5) < 2.0


@pytest.mark.parametrize(
    ("network", "shape", "joint", "fresh"),
    [
        (reference(), (3, 32, 32), 1.60, 3.01),
        (nn.Sequential(nn.Linear(1280, 128), nn.ReLU(), nn.Linear(128, 10)), (1280,), 0.16, 0.28),
    ],
    ids=["reference", "head"],
)
def test_what_a_secret_for_each_layer_would_cost(
    network: nn.Module, shape: tuple[int, ...], joint: float, fresh: float
) -> None:
    """KB a query of p, as parameters.py states: with secrets for all layers together, and with fresh ones for each."""
    plan = plan_lattice(program_of(network, shape), BATCH, 4)
    apart = [dataclasses.replace(plan, hand_overs=(hand_over,)).p_bytes(BATCH) for hand_over in plan.hand_overs]
    assert plan.p_bytes(BATCH) / BATCH / KB == pytest.approx(joint, abs=0.005)
    assert sum(apart) / BATCH / KB == pytest.approx(fresh, abs=0.005)


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    kernel, stride, dilation, padding = (draw(st.integers(*ends)) for ends in ((1, 4), (1, 4), (1, 3), (0, 5)))
    reach = dilation * (kernel - 1) + 1
    size = draw(st.integers(max(1, reach - 2 * padding), 20))
    return Axis(
        size, (size + 2 * padding - reach) // stride + 1, stride, padding, tuple(range(0, dilation * kernel, dilation))
    )


@given(axes(), axes(), st.sampled_from([256, 512]), st.integers(1, 5))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_no_coefficient_is_taken_twice(rows: Axis, columns: Axis, degree: int, images: int) -> None:
    """Each pixel and each padding has a coefficient of its own: under one mask, two values would give their difference
    away."""
    grid = fit("c1", rows, columns, degree)
    layout = grid.layout(images)
    addresses = torch.cat([layout.data, layout.padding])
    assert len(torch.unique(addresses)) == len(addresses)
    assert int(addresses.max()) < grid.polynomials(images) * degree


def test_a_network_without_weights_is_refused() -> None:
    """There is nothing to mask: said in one line, not by a failure on the way."""
    program = program_of(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), (1, 4, 4))
    with pytest.raises(UnshareableModelError, match="no layer with weights"):
        plan_lattice(program, 1, 1)
