"""Known answers of the hashes, the tree and the code, made by the slow implementation of oblivious_reference.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import oblivious_reference as reference
import pytest

from smule_crypten.oblivious.blocks import Blocks, scaled
from smule_crypten.oblivious.code import LocalCode
from smule_crypten.oblivious.hashing import Hashes, PadHash, TreeHash, public_key
from smule_crypten.oblivious.tree import Trees

FILE = Path(__file__).parents[2] / "vectors" / "oblivious.json"


@pytest.fixture(scope="module")
def known() -> Any:
    return json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def keys(known: Any) -> dict[str, bytes]:
    return {purpose: bytes.fromhex(key) for purpose, key in known["keys"].items()}


def blocks_of(*numbers: str | int) -> Blocks:
    values = [int(number, 16) if isinstance(number, str) else number for number in numbers]
    return np.frombuffer(b"".join(value.to_bytes(16, "little") for value in values), dtype=np.uint64).reshape(-1, 2)


def test_slow_aes_is_aes() -> None:
    """Appendix C.1 of FIPS 197: what the vectors rest on."""
    key, plain = bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")
    assert reference.aes128(key, plain).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_the_file_is_what_the_slow_implementation_makes(known: Any) -> None:
    assert reference.vectors() == known


def test_keys(known: Any, keys: dict[str, bytes]) -> None:
    """Each purpose has its own, and another seed gives others: the pads never hash under the key of the tree."""
    seed = bytes.fromhex(known["seed"])
    assert {purpose: public_key(seed, purpose) for purpose in keys} == keys
    others = {public_key(bytes(32), purpose) for purpose in keys}
    assert len(set(keys.values()) | others) == 6
    block = blocks_of(5)
    out = np.empty_like(block)
    hashes = Hashes(seed)
    hashes.tree(block, out)
    assert out.tolist() == blocks_of(reference.tree_hash(keys["tree"], 5)).tolist()
    assert hashes.pads(block, blocks_of(9)).tolist() == blocks_of(reference.pad_hash(keys["pads"], 5, 9, 0)).tolist()
    assert hashes.code_key == keys["code"]


def test_tree_hash(known: Any, keys: dict[str, bytes]) -> None:
    plain = blocks_of(*(pair[0] for pair in known["tree_hash"]))
    out = np.empty_like(plain)
    TreeHash(keys["tree"])(plain, out)
    np.testing.assert_array_equal(out, blocks_of(*(pair[1] for pair in known["tree_hash"])))


def test_pad_hash(known: Any, keys: dict[str, bytes]) -> None:
    rows = known["pad_hash"]
    tweaks = np.array([row[1:3] for row in rows], dtype=np.uint64)
    pads = PadHash(keys["pads"])(blocks_of(*(row[0] for row in rows)), tweaks)
    np.testing.assert_array_equal(pads, blocks_of(*(row[3] for row in rows)))


@pytest.mark.parametrize("count", [0, 1, 8191, 8192, 8193, 20_000])
def test_hashes_do_not_depend_on_how_many_are_hashed_at_once(keys: dict[str, bytes], count: int) -> None:
    plain = np.arange(2 * count, dtype=np.uint64).reshape(count, 2)
    tree, pads = TreeHash(keys["tree"]), PadHash(keys["pads"])
    out = np.empty_like(plain)
    tree(plain, out)
    hashed = pads(plain, plain)
    for number in {0, count // 2, count - 1} if count else set():
        one = plain[number : number + 1].copy()
        single = np.empty_like(one)
        tree(one, single)
        assert out[number].tolist() == single[0].tolist()
        assert hashed[number].tolist() == pads(one, one)[0].tolist()


def test_tree(known: Any, keys: dict[str, bytes]) -> None:
    """Among other trees, too: every tree of a batch is its own."""
    tree = known["tree"]
    depth, difference = tree["depth"], blocks_of(tree["difference"])[0]
    ones = blocks_of(7, tree["ones"], 8)
    grown = Trees(TreeHash(keys["tree"]), depth, most=4)
    leaves = np.empty((3, 1 << depth, 2), dtype=np.uint64)
    grown.sender_leaves(ones, difference, leaves)
    np.testing.assert_array_equal(leaves[1], blocks_of(*tree["leaves"]))
    sums = grown.sums_of_ones(ones, difference)
    np.testing.assert_array_equal(sums[:, 1], blocks_of(*tree["sums_of_ones"]))
    holes = np.array([0, tree["hole"], 31])
    turns = ((holes >> np.arange(depth)[:, None]) & 1).astype(np.uint8)
    received = np.empty_like(leaves)
    grown.receiver_leaves(sums ^ scaled(turns, difference), holes, received)
    np.testing.assert_array_equal(received[1, tree["hole"]], blocks_of(tree["receiver_leaf_at_hole"])[0])
    differs = (received != leaves).any(axis=-1)
    np.testing.assert_array_equal(differs, np.eye(32, dtype=bool)[holes])


def test_code(known: Any, keys: dict[str, bytes]) -> None:
    for log_size, row, places in known["code"]:
        code = LocalCode(keys["code"], log_size)
        assert code.places(row - row % 2, 2)[:, row % 2].tolist() == places
