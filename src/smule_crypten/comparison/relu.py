"""The ReLU of a batch, between the rounding of one product and the hand-over to the next.

Z = 2^t c + v modulo 2^(w + t), in units of 2^-t: M's c has w bits, D's v has w + t bits and is known before the images.
The result, max(Z, 0), is shared modulo 2^(k + t). For every Z: there is no range and no failure.

With r = -v / 2^t, z = c - r and floor(z) = c - ceil(r). D compares with ceil(r): floor(z) has the sign of z. With
floor(r), ceil(z) would be compared, and every z in (-1, 0) would pass and come out of the lift wrapped.

Before the images, D -> M, one message:
1. Choices of the digits of ceil(r) (digits.py) and the product of v and s (selection.py).

Online:
2. M -> D: tables of the digits, the product of c and s.
3. Levels 1 .. L of the tree (tree.py). M opens level 1 with its tables; who answers an opening sends its own of the
   next level along. The result is shared: low bits of ceil(r) greater than those of c.
4. b = 1 xor (highest bit of c) xor (highest bit of ceil(r)) xor that: z is not negative. beta = b xor s is opened as
   one more level; now both have shares of b Z (selection.py).
5. Lift (lift.py). Where L is even M speaks first about beta, and sends hints for beta = 0 and for beta = 1 along; D
   sends its part and the answer in one message. Where L is odd M knows beta when it sends its hint: it sends one.

L + 2 messages, L + 3 for odd L (L + 2 without a lift); cost.py has the bytes. Opened are bits under masks that neither
party knows; all else is under pads or turned by fresh choices (each file says why). Both shares of the result hold
secrets of their owner: what is sent of one later needs a mask of its own, as the hand-over gives D's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smule_crypten.comparison import cost, digit_pads, digits, lift, selection
from smule_crypten.comparison.conversation import Conversation
from smule_crypten.comparison.digit_pads import ReceiverPads, SenderPads
from smule_crypten.comparison.material import DataOwnerMaterial, ModelOwnerMaterial
from smule_crypten.comparison.once import ServesOnce
from smule_crypten.comparison.tree import GateTriples, Tree, opening_bytes
from smule_crypten.comparison.widths import Widths, modulo, require_as_many, row_bytes
from smule_crypten.oblivious import one_of_two
from smule_crypten.oblivious.blocks import Bytes, unpack_bits
from smule_crypten.oblivious.cots import Fields, Pads, narrowed
from smule_crypten.oblivious.script import Script
from smule_crypten.oblivious.wire import packed_bytes


@dataclass(eq=False, repr=False)
class ModelOwnerReady(ServesOnce):
    """M before the images. choices: its part of s, packed; masked: its share of s v (n,)."""

    count: int
    digits: SenderPads
    gates: GateTriples
    selection: Pads
    choices: Bytes
    masked: Pads
    lifts: tuple[one_of_two.ReceiverPads, ...]


@dataclass(eq=False, repr=False)
class DataOwnerReady(ServesOnce):
    """D before the images. share: v (n,); masked: its share of s v (n,)."""

    digits: ReceiverPads
    gates: GateTriples
    selection: one_of_two.ReceiverPads
    share: Pads
    masked: Pads
    lifts: tuple[Pads, ...]


def prepare_model_owner(widths: Widths, count: int, material: ModelOwnerMaterial) -> Script[ModelOwnerReady]:
    """Step 1."""
    if count != material.count:
        raise ValueError(f"{count} values are to be compared, and material was made for {material.count}")
    material.serve()
    pads = material.pads
    talk = Conversation(cost.relu_cost(count, widths).prepared, is_model_owner=True)
    flips = yield from talk.hear(digit_pads.choice_bytes(widths, count))
    correction = yield from talk.hear(packed_bytes(count, widths.fine))
    masked = narrowed(selection.receive_masked_product(pads.own_selection, correction, widths.fine), widths.fine)
    turned, choices = digit_pads.turn(widths, pads.digits, flips, count), pads.own_selection.choices
    return ModelOwnerReady(count, turned, pads.gates, pads.selection, choices, masked, pads.lifts)


def prepare_data_owner(widths: Widths, share: Fields, material: DataOwnerMaterial) -> Script[DataOwnerReady]:
    """Step 1. share: v modulo 2^(w + t) (n,)."""
    require_as_many(share, material.count)
    material.serve()
    pads = material.pads
    talk = Conversation(cost.relu_cost(len(share), widths).prepared, is_model_owner=False)
    flips, chosen = digit_pads.choose(widths, pads.digits, rounded_up(widths, share))
    talk.say(flips)
    own = unpack_bits(pads.selection.choices, len(share))
    correction, masked = selection.send_masked_product(pads.own_selection, own, share, widths.fine)
    talk.say(correction)
    yield from talk.flush()
    kept, masked_share = narrowed(share, widths.fine), narrowed(masked, widths.fine)
    return DataOwnerReady(chosen, pads.gates, pads.selection, kept, masked_share, pads.lifts)


def relu_model_owner(widths: Widths, ready: ModelOwnerReady, share: Fields) -> Script[Fields]:
    """Steps 2 to 5. share: c modulo 2^w (n,). Ends with M's share of the result."""
    count = ready.count
    require_as_many(share, count)
    ready.serve()
    talk = Conversation(cost.relu_cost(count, widths).online, is_model_owner=True)
    tables, nodes = digits.send_tables(widths, ready.digits, share)
    talk.say(tables)
    product, masked = selection.send_masked_product(
        ready.selection, unpack_bits(ready.choices, count), share, widths.width
    )
    talk.say(product)
    tree = Tree(nodes, ready.gates, is_model_owner=True)
    yield from _climb(widths, talk, tree, count, is_model_owner=True)
    own_beta = ~(tree.greater ^ _highest(widths, share)) ^ ready.choices
    guard = np.uint64(widths.guard_bits)
    value, masked = modulo(share << guard, widths.fine), modulo(ready.masked + (masked << guard), widths.fine)
    return (yield from _end_model_owner(widths, talk, ready, own_beta, value, masked))


def _end_model_owner(
    widths: Widths, talk: Conversation, ready: ModelOwnerReady, own_beta: Bytes, value: Fields, masked: Fields
) -> Script[Fields]:
    """Steps 4 and 5, from M's shares of beta, Z and s Z."""
    count, speaks_first = len(value), widths.levels % 2 == 0
    kept = [masked, modulo(value - masked, widths.fine)]  # for beta = 0 and 1, as selection.selected
    turned = []
    if speaks_first:
        talk.say(own_beta)
        turned = _say_hints(widths, talk, ready, kept)
    beta = unpack_bits(own_beta ^ (yield from talk.hear(len(own_beta))), count)
    result = np.where(beta == 1, kept[1], kept[0])
    if not speaks_first:
        talk.say(own_beta)
        turned = _say_hints(widths, talk, ready, [result])
    if not widths.extension:
        yield from talk.flush()
        return result
    wraps = yield from talk.hear(packed_bytes(count, widths.extension))
    return lift.receive_wraps(turned, beta, result, wraps, widths.fine, widths.extension)


def _say_hints(
    widths: Widths, talk: Conversation, ready: ModelOwnerReady, candidates: list[Fields]
) -> list[one_of_two.ReceiverPads]:
    """M's end of the turned pads; none where the ring does not grow."""
    turned = []
    for pads, candidate in zip(ready.lifts, candidates[: widths.hints], strict=True):
        message, own = lift.hint(pads, candidate, widths.fine)
        talk.say(message)
        turned.append(own)
    return turned


def relu_data_owner(widths: Widths, ready: DataOwnerReady) -> Script[Fields]:
    """Steps 2 to 5. Ends with D's share of the result."""
    ready.serve()
    count, share = len(ready.share), ready.share.astype(np.uint64)
    talk = Conversation(cost.relu_cost(count, widths).online, is_model_owner=False)
    tables = yield from talk.hear(digits.table_bytes(widths, count))
    product = yield from talk.hear(packed_bytes(count, widths.width))
    nodes = digits.receive_tables(widths, ready.digits, tables, count)
    masked = selection.receive_masked_product(ready.selection, product, widths.width)
    tree = Tree(nodes, ready.gates, is_model_owner=False)
    yield from _climb(widths, talk, tree, count, is_model_owner=False)
    own_beta = tree.greater ^ _highest(widths, rounded_up(widths, share)) ^ ready.selection.choices
    beta = unpack_bits((yield from _swap(talk, widths.levels + 1, own_beta, is_model_owner=False)), count)
    masked = ready.masked + (masked << np.uint64(widths.guard_bits))
    result = selection.selected(share, masked, beta, widths.fine)
    if widths.extension:
        turned = []
        for pads in ready.lifts:
            turned.append(one_of_two.turned(pads, (yield from talk.hear(row_bytes(count)))))
        wraps, result = lift.send_wraps(turned, beta, result, widths.fine, widths.extension)
        talk.say(wraps)
    yield from talk.flush()
    return result


def rounded_up(widths: Widths, share: Fields) -> Fields:
    """ceil(r) modulo 2^w, r = -v / 2^t."""
    return modulo(np.uint64(0) - (modulo(share, widths.fine) >> np.uint64(widths.guard_bits)), widths.width)


def _highest(widths: Widths, numbers: Fields) -> Bytes:
    """Bit w - 1 of each, packed."""
    (row,) = digit_pads.bit_rows(numbers, widths.width - 1, 1)
    packed: Bytes = row
    return packed


def _climb(widths: Widths, talk: Conversation, tree: Tree, count: int, is_model_owner: bool) -> Script[None]:
    for number, _ in enumerate(opening_bytes(widths, count), 1):
        tree.combine((yield from _swap(talk, number, tree.masked(), is_model_owner)))


def _swap(talk: Conversation, number: int, own: Bytes, is_model_owner: bool) -> Script[Bytes]:
    """Both open; M speaks first for odd numbers."""
    if (number % 2 == 1) == is_model_owner:
        talk.say(own)
        return own ^ (yield from talk.hear(len(own)))
    theirs = yield from talk.hear(len(own))
    talk.say(own)
    return own ^ theirs
