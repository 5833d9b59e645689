from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lean_harness import direction, lean_config
from lean_networks import NETWORKS, SHAPE, UNEQUAL_WINDOWS
from lean_oracle import convolved, residues, window_sums
from torch import nn

from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.inference.lean import cost
from smule_crypten.inference.lean.dealing import (
    PackedFields,
    corrections,
    dealt_fields,
    draw,
    draw_weight_masks,
    drawn_fields,
    fields_bytes,
    mask_fields,
    product_fields,
)
from smule_crypten.models.architecture import Conv2d
from smule_crypten.models.translate import translate
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import packed_bytes, unpack
from smule_crypten.mpc.streams import Stream


def stream(who: str, seed: int = 0) -> Stream:
    return Stream(insecure_key(seed, who))


def program_of(model: nn.Module, **options: int) -> Program:
    return lower(translate(model, SHAPE).architecture, lean_config(**options))


def one_opening(opening: Opening) -> Program:
    step = Step(name="x", kind="relu", inputs=(), shape=(opening.elements,), width=opening.width, fraction=0,
                ring=opening.ring, openings=(opening,))  # fmt: skip
    return Program((step,), 0)


class Reconstruction:
    """An opening's material, put together from the correction and from fresh copies of both streams."""

    def __init__(self, opening: Opening, batch: int, seed: int) -> None:
        self.opening = opening
        model_owner, data_owner = stream("M", seed), stream("D", seed)
        (data,) = corrections(one_opening(opening), [batch], stream("M", seed), stream("D", seed))
        self.first = draw(drawn_fields(opening, batch), model_owner)
        self.second = draw(drawn_fields(opening, batch), data_owner)
        self.dealt_second = draw(dealt_fields(opening, batch), data_owner)
        self.dealt_first = PackedFields(data, dealt_fields(opening, batch))
        assert len(data) == fields_bytes(dealt_fields(opening, batch))

    def sums(self, name: str) -> list[int]:
        """A value that is dealt as a sum."""
        width = self.dealt_first.fields[name][1]
        pairs = zip(self.dealt_first.values(name).tolist(), self.dealt_second.values(name).tolist(), strict=True)
        return [(a + b) % (1 << width) for a, b in pairs]

    def carries(self) -> list[int]:
        """kappa: whether the parts of rho add up to 2^fraction or more."""
        fraction = self.opening.fraction
        if not fraction:
            return [0] * len(self.first.values("mask"))
        parts = zip(self.first.values("rounding").tolist(), self.second.values("rounding").tolist(), strict=True)
        return [int(a + b >= 1 << fraction) for a, b in parts]

    def bits(self, name: str) -> list[int]:
        """A value that is dealt by XOR."""
        return [v % (1 << 64) for v in (self.dealt_first.values(name) ^ self.dealt_second.values(name)).tolist()]


@pytest.mark.parametrize("extension", [0, 1, 12, 40])
@pytest.mark.parametrize("fraction", [0, 7])
@pytest.mark.parametrize(("width", "blocks"), [(8, (4, 3)), (16, (4, 4, 4, 3)), (22, (5,) * 4 + (1,))])
@pytest.mark.parametrize("batch", [1, 3])
def test_opening(width: int, blocks: tuple[int, ...], fraction: int, extension: int, batch: int) -> None:
    """Corrections and D's shares add up to what the protocol says, for every value that is dealt, in rings that grow
    by nothing, by one bit, and by many.
    """
    ring = width + extension
    material = Reconstruction(
        Opening(elements=11, width=width, ring=ring, fraction=fraction, blocks=blocks), batch, seed=extension
    )
    pairs = list(zip(material.first.values("mask").tolist(), material.second.values("mask").tolist(), strict=True))
    assert all(0 <= value < 1 << width for pair in pairs for value in pair)
    carry = material.carries()
    total = [a + b + k for (a, b), k in zip(pairs, carry, strict=True)]
    r = [value % (1 << width) for value in total]
    wraps, high = [value >> width for value in total], [value >> (width - 1) for value in r]
    assert {0, 1} == set(wraps) == set(high)
    if fraction:
        assert set(carry) == {0, 1}
        lift = [(k - q * 2**width) % 2**ring for k, q in zip(carry, wraps, strict=True)]
    else:
        lift = [-q % 2 ** max(1, extension) for q in wraps]
    assert material.sums("lift") == lift
    assert material.sums("high") == high
    s = (material.first.values("bit") ^ material.second.values("bit")).tolist()
    assert set(s) == {0, 1}
    assert material.sums("selector") == s
    assert material.sums("selected_mask") == [bit * value for bit, value in zip(s, r, strict=True)]
    assert material.sums("selected_high") == [bit * value for bit, value in zip(s, high, strict=True)]
    thermometers = [
        [
            int((value >> sum(blocks[i + 1 :])) % (1 << bits) >= v)
            for i, bits in enumerate(blocks)
            for v in range(1, 1 << bits)
        ]
        for value in r
    ]
    found: list[list[int]] = [[] for _ in r]
    for name in (name for name in material.dealt_first.fields if name.startswith("word")):
        for bits, word in zip(found, material.bits(name), strict=True):
            bits += [word >> i & 1 for i in range(material.dealt_first.fields[name][1])]
    assert found == thermometers


@pytest.mark.parametrize(
    ("blocks", "factors"),
    [
        ((3,), []),
        ((3, 3), [(0, 1)]),
        ((2, 2, 2), [(0, 1), (0, 2), (0, 2, 3), (0, 3), (2, 3)]),
        ((3, 3, 3, 3), [(0, 1), (0, 2), (3, 4), (5, 6)]),
    ],
)
def test_gates(blocks: tuple[int, ...], factors: list[tuple[int, ...]]) -> None:
    """The products of the masks of the tree's operands, written down by hand: operand 0 is the "equal" of the highest
    block, which two gates share.
    """
    opening = Opening(elements=9, width=sum(blocks) + 1, ring=32, blocks=blocks)
    material = Reconstruction(opening, 2, seed=1)
    operands = [
        (material.first.values(name) ^ material.second.values(name)).tolist()
        for name in drawn_fields(opening, 2)
        if name.startswith("operand")
    ]
    products = [name for name in material.dealt_first.fields if name.startswith("product")]
    assert len(products) == len(factors)
    assert len(operands) == len({number for pair in factors for number in pair})
    for name, factor in zip(products, factors, strict=True):
        assert material.bits(name) == [min(bits) for bits in zip(*(operands[number] for number in factor), strict=True)]


def test_nothing_to_round() -> None:
    """A maximum rounds nothing: no parts of rho are drawn, and the lift takes the bits by which the ring grows."""
    opening = Opening(elements=9, width=20, ring=32, blocks=(4, 4, 4, 4, 3))
    material = Reconstruction(opening, 1, seed=2)
    assert "rounding" not in drawn_fields(opening, 1)
    assert material.dealt_first.fields["lift"] == material.dealt_first.fields["high"] == (9, 12)


@pytest.mark.parametrize("name", ["conv_pool_relu", "conv_pool_kept_apart", "mobile"])
def test_products(name: str) -> None:
    """C = L_A(r), pooling folded in or not, by the oracle in plain integers."""
    program, batch = program_of(NETWORKS[name]()), 2
    model_owner, data_owner = stream("M"), stream("D")
    dealt = corrections(program, [batch], stream("M"), stream("D"))
    weight_masks = draw_weight_masks(program, model_owner)
    r: Any = None
    for step in program.steps[:3]:
        if step.kind == "mask":
            r = draw(mask_fields(step, batch), data_owner).values("mask").view(batch, *step.shape)
        elif step.kind == "product":
            theirs = draw(product_fields(step, batch), data_owner).values("result")
            ours = unpack(next(dealt), batch * step.elements, step.ring)
            assert isinstance(step.op, Conv2d)
            expected = convolved(step.op, r, weight_masks[step.name])
            if step.pool is not None:
                expected = window_sums(step.pool.op, expected)[0]
            assert (residues((ours + theirs).view(batch, *step.shape)) % 2**step.ring == expected % 2**step.ring).all()


ALL = NETWORKS | UNEQUAL_WINDOWS


@pytest.mark.parametrize("name", sorted(ALL))
def test_cost_is_exact(name: str) -> None:
    """What a direction sends each way and has dealt is what the cost says beforehand, to the byte, for batches of
    unequal size; nothing else is dealt, and nothing of it is left over.
    """
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(2)
    model = ALL[name]()
    x = torch.randn(5, *SHAPE, generator=generator)
    run = direction(model, x, lean_config(micro_batch=3))
    assert run.batches == [3, 2]
    _, said = run.run()
    predicted = cost.direction_cost(run.program, run.batches)
    sent = [
        sum(message.post.data.nbytes for message in said if message.from_model_owner is who) for who in (True, False)
    ]
    assert (predicted.model_owner.bytes_sent, predicted.model_owner.bytes_received) == tuple(sent)
    assert (predicted.data_owner.bytes_received, predicted.data_owner.bytes_sent) == tuple(sent)
    assert predicted.model_owner.dealer_bytes == run.dealings.num_bytes
    assert predicted.data_owner.dealer_bytes == 0


@given(st.lists(st.integers(1, 5), max_size=4))
@settings(derandomize=True, deadline=None, max_examples=5)
def test_streams_stay_in_step(batches: list[int]) -> None:
    """Dealer and parties draw the same bytes in the same order: after a direction all are at the same position."""
    program = program_of(NETWORKS["branches"]())
    streams = stream("M"), stream("D")
    total = sum(len(correction) for correction in corrections(program, batches, *streams))
    assert total == cost.direction_cost(program, batches).model_owner.dealer_bytes
    copies = stream("M"), stream("D")
    weights = sum(packed_bytes(_count(step), step.ring) for step in program.products)
    drawn = [weights, 0]
    for batch in batches:
        for step in program.steps:
            if step.kind == "mask":
                drawn[1] += fields_bytes(mask_fields(step, batch))
            if step.kind == "product":
                drawn[1] += fields_bytes(product_fields(step, batch))
            for opening in step.openings:
                own = fields_bytes(drawn_fields(opening, batch))
                drawn[0] += own
                drawn[1] += own + fields_bytes(dealt_fields(opening, batch))
    for at_dealer, copy, count in zip(streams, copies, drawn, strict=True):
        if batches:
            copy.random_bytes(count)
            assert torch.equal(at_dealer.random_bytes(32), copy.random_bytes(32))


def _count(step: Step) -> int:
    return torch.Size(step.weighted.weight_shape).numel()
