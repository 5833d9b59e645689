"""Known answers of tests/vectors/, made by slow implementations that share nothing with the package.

Keys, hashes, trees, code, base transfers, extension, one iteration, pads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import vector_files
from oblivious_harness import converse

from smule_crypten.oblivious import base, one_of_eight, one_of_four, one_of_two
from smule_crypten.oblivious.blocks import Blocks, as_blocks, as_bytes, marks, scaled
from smule_crypten.oblivious.code import LocalCode
from smule_crypten.oblivious.cots import ReceiverCots, SenderCots, Use
from smule_crypten.oblivious.extension import extend_receiver, extend_sender
from smule_crypten.oblivious.hashing import PADS, Hashes, Instance, PadHash, TreeHash, public_key
from smule_crypten.oblivious.iteration import Engine, Iteration, receive_iteration, send_iteration
from smule_crypten.oblivious.parameters import INSECURE_TINY
from smule_crypten.oblivious.tree import Trees

KEY = bytes(16)


def blocks_of(numbers: list[str]) -> Blocks:
    return as_blocks(b"".join(int(number, 16).to_bytes(16, "little") for number in numbers))


def instance_of(known: Any) -> Instance:
    return Instance(bytes.fromhex(known["seed"]), known["sender_rank"])


def test_keys() -> None:
    """Of two directions, three purposes, two iterations."""
    known = vector_files.load("hashing")
    for label, key in known["keys"].items():
        rank, _, purpose = label.partition("|")
        instance = Instance(bytes.fromhex(known["seed"]), int(rank))
        assert public_key(instance, purpose).hex() == key
        name, _, iteration = purpose.partition("|")
        hashes = Hashes(instance)
        if iteration:
            made = {"tree": hashes.tree_key, "code": hashes.code_key}[name](int(iteration))
            assert made.hex() == key
        else:
            blocks = blocks_of(["5", "9"])
            np.testing.assert_array_equal(hashes.pads(blocks, blocks), PadHash(bytes.fromhex(key))(blocks, blocks))


def test_no_two_keys_are_the_same() -> None:
    """Of two seeds, two directions, three iterations: one guess is worth nothing anywhere else."""
    keys = []
    for seed in (bytes(32), bytes([1]) + bytes(31)):
        for rank in (0, 1):
            instance = Instance(seed, rank)
            hashes = Hashes(instance)
            keys += [public_key(instance, PADS)]
            keys += [key(number) for key in (hashes.tree_key, hashes.code_key) for number in (0, 1, 11)]
    assert len(set(keys)) == len(keys) == 28


@pytest.mark.parametrize(("seed", "rank", "said"), [(bytes(31), 0, "has 32 bytes, got 31"), (bytes(32), 2, "0 or 1")])
def test_what_is_no_instance_is_refused(seed: bytes, rank: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Instance(seed, rank)


def test_tree_hash() -> None:
    known = vector_files.load("hashing")
    rows = known["tree_hash"]["rows"]
    plain = blocks_of([row[0] for row in rows])
    out = np.empty_like(plain)
    TreeHash(bytes.fromhex(known["keys"][known["tree_hash"]["key"]]))(plain, out)
    np.testing.assert_array_equal(out, blocks_of([row[1] for row in rows]))


def test_pad_hash() -> None:
    known = vector_files.load("hashing")
    rows = known["pad_hash"]["rows"]
    tweaks = np.array([row[1:3] for row in rows], dtype=np.uint64)
    pads = PadHash(bytes.fromhex(known["keys"][known["pad_hash"]["key"]]))(blocks_of([row[0] for row in rows]), tweaks)
    np.testing.assert_array_equal(pads, blocks_of([row[3] for row in rows]))


@pytest.mark.parametrize("count", [0, 1, 8191, 8192, 8193, 20_000])
def test_hashes_do_not_depend_on_how_many_are_hashed_at_once(count: int) -> None:
    plain = np.arange(2 * count, dtype=np.uint64).reshape(count, 2)
    tree, pads = TreeHash(KEY), PadHash(KEY)
    out = np.empty_like(plain)
    tree(plain, out)
    hashed = pads(plain, plain)
    for number in {0, count // 2, count - 1} if count else set():
        one = plain[number : number + 1].copy()
        single = np.empty_like(one)
        tree(one, single)
        assert out[number].tolist() == single[0].tolist()
        assert hashed[number].tolist() == pads(one, one)[0].tolist()


@pytest.mark.parametrize("case", vector_files.load("tree")["cases"], ids=lambda case: f"{case['depth']}-{case['hole']}")
def test_tree(case: Any) -> None:
    """Among other trees, too: every tree of a batch is its own."""
    depth, hole, difference = case["depth"], case["hole"], blocks_of([case["difference"]])[0]
    ones = blocks_of(["7", case["ones"], "8"])
    grown = Trees(TreeHash(bytes.fromhex(vector_files.load("tree")["key"])), depth, most=4)
    leaves = np.empty((3, 1 << depth, 2), dtype=np.uint64)
    grown.sender_leaves(ones, difference, leaves)
    np.testing.assert_array_equal(leaves[1], blocks_of(case["leaves"]))
    sums = grown.sums_of_ones(ones, difference)
    np.testing.assert_array_equal(sums[:, 1], blocks_of(case["sums_of_ones"]))
    holes = np.array([0, hole, (1 << depth) - 1])
    turns = ((holes >> np.arange(depth)[:, None]) & 1).astype(np.uint8)
    given = sums ^ scaled(turns, difference)
    np.testing.assert_array_equal(given[:, 1], blocks_of(case["sums_beside_the_path"]))
    received = np.empty_like(leaves)
    grown.receiver_leaves(given, holes, received)
    np.testing.assert_array_equal(received[1, hole], blocks_of([case["receiver_leaf_at_hole"]])[0])
    differs = (received != leaves).any(axis=-1)
    np.testing.assert_array_equal(differs, np.eye(1 << depth, dtype=bool)[holes])


def test_code() -> None:
    known = vector_files.load("code")
    for log_size, row, places in known["places"]:
        code = LocalCode(bytes.fromhex(known["key"]), log_size)
        assert code.places(row - row % 2, 2)[:, row % 2].tolist() == places


def test_base_transfers() -> None:
    """Every byte that crosses, and both keys of each transfer."""
    file = vector_files.load("extension")
    known, choices = file["base"], np.array(file["base"]["choices"], dtype=np.uint8)
    sender = base.send_keys(instance_of(file), len(choices), vector_files.reader(known["sender_random"]))
    receiver = base.receive_keys(instance_of(file), choices, vector_files.reader(known["receiver_random"]))
    pairs, keys, crossed = converse(sender, receiver)
    assert [data.tobytes().hex() for _, _, data in crossed.messages] == [known["sender_point"], known["points"]]
    assert [[key.hex() for key in pair] for pair in pairs] == known["keys"]
    assert [key.hex() for key in keys] == [pair[c] for pair, c in zip(known["keys"], choices, strict=True)]


def test_extension() -> None:
    file = vector_files.load("extension")
    known, count = file["extension"], file["extension"]["count"]
    difference = blocks_of([known["difference"]])[0]
    sender = extend_sender(instance_of(file), difference, count, vector_files.reader(known["sender_random"]))
    receiver = extend_receiver(instance_of(file), count, vector_files.reader(known["receiver_random"]))
    ours, theirs, crossed = converse(sender, receiver)
    points, point, message = (data.tobytes() for _, _, data in crossed.messages)
    assert vector_files.digest(points) == known["points_sha256"]
    assert point.hex() == known["sender_point"]
    assert vector_files.digest(message) == known["message_sha256"]
    np.testing.assert_array_equal(ours, blocks_of(known["sender_blocks"]))
    np.testing.assert_array_equal(theirs, blocks_of(known["receiver_blocks"]))


def all_rows(iteration: Iteration) -> Blocks:
    rows = np.empty((INSECURE_TINY.trees, 1 << INSECURE_TINY.depth, 2), dtype=np.uint64)
    for trees in iteration.engine.slices(INSECURE_TINY.trees):
        iteration.make_rows(trees, rows[trees])
    return rows.reshape(-1, 2)


def test_iteration() -> None:
    """The message, the holes, and all rows of both."""
    known = vector_files.load("iteration")
    engine, number = Engine(Hashes(instance_of(known)), INSECURE_TINY), known["iteration"]
    seeds = [blocks_of(known[f"{side}_seeds"]) for side in ("sender", "receiver")]
    difference, random_bytes = blocks_of([known["difference"]])[0], vector_files.reader(known["sender_random"])
    ours, theirs, crossed = converse(
        send_iteration(engine, number, seeds[0], difference, random_bytes),
        receive_iteration(engine, number, seeds[1]),
    )
    ((_, _, message),) = crossed.messages
    assert message.tobytes().hex() == known["message"]
    for side, iteration in (("sender", ours), ("receiver", theirs)):
        rows = all_rows(iteration)
        np.testing.assert_array_equal(rows[:3], blocks_of(known[f"{side}_first_rows"]))
        assert vector_files.digest(as_bytes(rows).tobytes()) == known[f"{side}_rows_sha256"]
    assert "".join(map(str, marks(rows))) == known["choices"]
    assert theirs._holes.tolist() == known["holes"]


def batches(name: str) -> tuple[Any, SenderCots, ReceiverCots]:
    file = vector_files.load("pads")
    known, hash_ = file[name], PadHash(bytes.fromhex(file["key"]))
    sender = SenderCots(hash_, file["first"], blocks_of(known["sender"]), blocks_of([file["difference"]])[0])
    return known, sender, ReceiverCots(hash_, file["first"], blocks_of(known["receiver"]))


def low_bits(pads: list[str], width: int) -> list[int]:
    return [int(pad, 16) % (1 << width) for pad in pads]


def columns(rows: list[list[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def choices_of(receiver: ReceiverCots, members: int) -> list[int]:
    """A choice of one of 2^members from the bits of its transfers, low ones first."""
    parts = np.split(receiver.choices, members)
    return [sum(int(bit) << place for place, bit in enumerate(bits)) for bits in zip(*parts, strict=True)]


@pytest.mark.parametrize("width", [1, 18, 64])
def test_pads_of_one_of_two(width: int) -> None:
    known, sender, receiver = batches("one_of_two")
    assert known["use"] == Use.PAIR
    assert choices_of(receiver, 1) == known["choices"]
    sides = one_of_two.send_random(sender, width)
    assert sides.tolist() == [low_bits(pads, width) for pads in columns(known["sender_pads"])]
    assert one_of_two.receive_random(receiver, width).pads.tolist() == low_bits(known["receiver_pads"], width)


@pytest.mark.parametrize("width", [1, 18, 64])
def test_pads_of_one_of_four(width: int) -> None:
    """And those of the first five values' transfers as two of one of two, under tweaks of that use."""
    known, sender, receiver = batches("one_of_four")
    assert known["use"] == Use.TABLE
    assert choices_of(receiver, 2) == known["choices"]
    four, two = one_of_four.send_random(sender, width, products=5)
    assert four.tolist() == [low_bits(pads, width) for pads in columns(known["sender_pads"])]
    own, own_pairs = one_of_four.receive_random(receiver, width, products=5)
    assert own.tolist() == low_bits(known["receiver_pads"], width)
    pairs = vector_files.load("pads")["pairs_of_one_of_four"]
    for side in range(2):
        part = slice(side * len(own), side * len(own) + 5)
        assert two[side].tolist() == [low_bits(pads, width) for pads in columns(pairs["sender_pads"][part])]
        assert own_pairs[side].tolist() == low_bits(pairs["receiver_pads"][part], width)


@pytest.mark.parametrize("width", [1, 18])
def test_pads_of_one_of_eight(width: int) -> None:
    known, sender, receiver = batches("one_of_eight")
    assert known["use"] == Use.TABLE
    assert choices_of(receiver, 3) == known["choices"]
    sides = one_of_eight.send_random(sender, width)
    assert sides.tolist() == [low_bits(pads, width) for pads in columns(known["sender_pads"])]
    assert one_of_eight.receive_random(receiver, width).tolist() == low_bits(known["receiver_pads"], width)
