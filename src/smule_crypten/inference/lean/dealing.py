"""What the dealer deals for the lean scheme, derived in the same way by the dealer T and by both parties.

M owns the weights, D the inputs. T shares one stream with each. Whatever comes from a stream costs no bytes; only M
receives corrections. To deal v: D's share comes from its stream, T sends v less that share, packed to its width.

- Weights (once a direction): the mask A of each weight from M's stream.
- Mask: the mask r of a value from D's stream. Product: C = L_A(r) is dealt.
- Opening of width w below which f bits are rounded away, into a ring of k bits: r_M, rho_M from M's stream, r_D, rho_D
  from D's, r_p in Z_{2^w}, rho_p in Z_{2^f}. The carry kappa = [rho_M + rho_D >= 2^f] belongs to
  r = r_M + r_D + kappa - q 2^w, the mask of the opened value. Dealt: the lift kappa - q 2^w, in k bits (where f = 0,
  -q in the k - w bits by which the ring grows), and high, the highest bit of r, in k - w bits.
- Comparison: the thermometer of each block of r (blocks.py); products of the masks of the AND gates' operands.
- Selection: a bit s, XOR-shared from both streams; s, s * r and s * high are dealt as sums.

Every dealt share is uniform and independent of the other party's, so each party can simulate its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch

from smule_crypten.fixed_point.products import multiply
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.inference.lean.and_tree import mask_products, num_operands, num_products
from smule_crypten.inference.lean.blocks import thermometers, word_widths
from smule_crypten.models.architecture import num_elements
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream

Fields = dict[str, tuple[int, int]]
"""Name -> (count, width) of values that are packed one after the other."""


@dataclass(frozen=True)
class PackedFields:
    """Named values as packed bytes; they are unpacked when they are used, so that material stays small."""

    data: torch.Tensor
    fields: Fields

    @cached_property
    def _places(self) -> dict[str, slice]:
        ends = list(accumulate(packed_bytes(count, width) for count, width in self.fields.values()))
        return {name: slice(start, end) for name, start, end in zip(self.fields, [0, *ends], ends, strict=False)}

    def to(self, device: torch.device) -> PackedFields:
        return PackedFields(self.data.to(device), self.fields)

    def packed(self, name: str) -> torch.Tensor:
        """The bytes of a field."""
        return self.data[self._places[name]]

    def packed_all(self, prefix: str) -> list[torch.Tensor]:
        """The bytes of all fields whose name begins with prefix, in order."""
        return [self.packed(name) for name in self.fields if name.startswith(prefix)]

    def values(self, name: str, dtype: torch.dtype = torch.int64) -> torch.Tensor:
        """A field as int64 or int32 (count,)."""
        return unpack(self.packed(name), *self.fields[name], dtype)

    def values_all(self, prefix: str) -> list[torch.Tensor]:
        return [self.values(name) for name in self.fields if name.startswith(prefix)]


@dataclass(frozen=True)
class OpeningMaterial:
    """One party's material for an opening. drawn: its masks; dealt: its shares of what only the dealer knows.

    dtype: of the integers that the opening is computed with. In 32 bits, where they do, it takes half of the time: as
    long as its integers take to be read and written.
    """

    drawn: PackedFields
    dealt: PackedFields
    dtype: torch.dtype

    @cached_property
    def mask(self) -> torch.Tensor:
        return self.drawn.values("mask", self.dtype)

    @cached_property
    def high(self) -> torch.Tensor:
        return self.dealt.values("high", self.dtype)


def fields_bytes(fields: Fields) -> int:
    return sum(packed_bytes(count, width) for count, width in fields.values())


def mask_fields(step: Step, batch: int) -> Fields:
    return {"mask": (batch * step.elements, step.ring)}


def product_fields(step: Step, batch: int) -> Fields:
    return {"result": (batch * step.elements, step.ring)}


def drawn_fields(opening: Opening, batch: int) -> Fields:
    """What each party has from its own stream for an opening."""
    count = batch * opening.elements
    fields = {"mask": (count, opening.width)}
    if opening.fraction:
        fields["rounding"] = (count, opening.fraction)
    fields |= {f"operand{i}": (count, 1) for i in range(num_operands(len(opening.blocks)))}
    return fields | {"bit": (count, 1)}


def dealt_fields(opening: Opening, batch: int) -> Fields:
    """What is dealt for an opening."""
    count = batch * opening.elements
    high_bits = max(1, opening.extension)
    fields = {"lift": (count, opening.ring if opening.fraction else high_bits), "high": (count, high_bits)}
    fields |= {f"word{i}": (count, width) for i, width in enumerate(word_widths(opening.blocks))}
    fields |= {f"product{i}": (count, 1) for i in range(num_products(len(opening.blocks)))}
    fields["selector"] = fields["selected_mask"] = (count, opening.ring)
    return fields | {"selected_high": (count, high_bits)}


def draw(fields: Fields, stream: Stream) -> PackedFields:
    return PackedFields(stream.random_bytes(fields_bytes(fields)), fields)


def draw_weight_masks(program: Program, stream: Stream) -> dict[str, torch.Tensor]:
    """A for the weight of each product, from M's stream."""
    masks = {}
    for step in program.products:
        shape = step.weighted.weight_shape
        masks[step.name] = stream.packed(num_elements(shape), step.ring).view(shape)
    return masks


def corrections(
    program: Program, batches: list[int], model_owner: Stream, data_owner: Stream
) -> Iterator[torch.Tensor]:
    """What T sends to M for one direction: packed bytes, one tensor for each product and each opening.

    Args:
        batches: sizes of the micro-batches.
        model_owner, data_owner: T's streams with M and with D.
    """
    weight_masks = draw_weight_masks(program, model_owner)
    for batch in batches:
        masks: dict[int, torch.Tensor] = {}
        for position, step in enumerate(program.steps):
            if step.kind == "mask":
                masks[position] = draw(mask_fields(step, batch), data_owner).values("mask").view(batch, *step.shape)
            elif step.kind == "product":
                dealt = draw(product_fields(step, batch), data_owner)
                result = multiply(step.weighted, masks[step.inputs[0]], weight_masks[step.name], step.pool)
                yield pack(result.view(-1) - dealt.values("result"), step.ring)
            for opening in step.openings:
                yield _opening_correction(opening, batch, model_owner, data_owner)


def _opening_correction(opening: Opening, batch: int, model_owner: Stream, data_owner: Stream) -> torch.Tensor:
    theirs = draw(drawn_fields(opening, batch), model_owner)
    ours = draw(drawn_fields(opening, batch), data_owner)
    dealt = draw(dealt_fields(opening, batch), data_owner)
    carry = _carry(opening, theirs, ours)
    total = theirs.values("mask") + ours.values("mask") + carry
    mask = total & ((1 << opening.width) - 1)
    wraps, high = total >> opening.width, mask >> (opening.width - 1)
    words = thermometers(opening.blocks, mask)
    operands = [a ^ b for a, b in zip(theirs.packed_all("operand"), ours.packed_all("operand"), strict=True)]
    products = mask_products(operands, len(opening.blocks))
    selector = theirs.values("bit") ^ ours.values("bit")
    sums = {
        "lift": carry - (wraps << opening.width) if opening.fraction else -wraps,
        "high": high,
        "selector": selector,
        "selected_mask": selector * mask,
        "selected_high": selector * high,
    }
    bits = {f"word{i}": pack(word, dealt.fields[f"word{i}"][1]) for i, word in enumerate(words)}
    bits |= {f"product{i}": product for i, product in enumerate(products)}
    parts = [
        bits[name] ^ dealt.packed(name) if name in bits else pack(sums[name] - dealt.values(name), width)
        for name, (_, width) in dealt.fields.items()
    ]
    return torch.cat(parts)


def _carry(opening: Opening, theirs: PackedFields, ours: PackedFields) -> torch.Tensor:
    """kappa; none where nothing is rounded."""
    if not opening.fraction:
        return torch.zeros_like(ours.values("mask"))
    return (theirs.values("rounding") + ours.values("rounding")) >> opening.fraction
