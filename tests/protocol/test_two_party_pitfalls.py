"""What no run of the scheme of the two parties alone may do twice, each with a broken variant that is noticed.

Everything that crosses is masked by something that serves once, so no 64 bytes come twice: not in two micro-batches or
exchanges on the same images and weights, nor in two runs, as after a crash.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from two_party_steps import NUM_QUERIES, Variant, as_it_is, heard, one_secret_for_all, stored_randomness

from smule_crypten.config.sections import Randomness
from smule_crypten.testing import PartyPool

PIECE = 64
Heard = list[list[bytes]]
"""Messages at party a and at party b."""


def model() -> nn.Module:
    """Small: a party's iterations of silent transfer are most of what crosses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def images(seed: int) -> torch.Tensor:
    return torch.randn(NUM_QUERIES, 6, generator=torch.Generator().manual_seed(seed))


def run(
    pool: PartyPool,
    exchanges: int = 1,
    variant: Variant = as_it_is,
    randomness: Randomness = "fresh",
    inputs_NX: torch.Tensor | None = None,
) -> Heard:
    inputs_NX = images(0) if inputs_NX is None else inputs_NX
    return pool.run(heard, model(), inputs_NX, exchanges, variant, randomness=randomness, precision_bits=14)


@pytest.fixture(scope="module")
def earlier(pool: PartyPool) -> Heard:
    return run(pool)


def pieces(messages: list[bytes]) -> list[bytes]:
    return [
        message[start : start + PIECE] for message in messages for start in range(0, len(message) - PIECE + 1, PIECE)
    ]


def comes_twice(*runs: Heard) -> bool:
    """At either party."""
    for rank in (0, 1):
        found = [piece for one in runs for piece in pieces(one[rank])]
        assert len(found) > 1000
        if len(set(found)) < len(found):
            return True
    return False


def test_no_secret_serves_two_micro_batches(pool: PartyPool) -> None:
    """Nor two exchanges: the same images, the same weights."""
    assert not comes_twice(run(pool, exchanges=2))


def test_a_secret_for_two_micro_batches_is_caught(pool: PartyPool) -> None:
    """Control: p comes again, and with it s_j."""
    assert comes_twice(run(pool, variant=one_secret_for_all))


def test_nothing_is_used_again_after_a_restart(pool: PartyPool, earlier: Heard) -> None:
    """Another run of the same seed and index, as after a crash: new polynomials, masks and instances."""
    assert not comes_twice(earlier, run(pool))


@pytest.mark.parametrize(
    ("variant", "randomness"),
    [(stored_randomness, "fresh"), (as_it_is, "seeded_insecure")],
    ids=["transfers", "lattice"],
)
def test_what_an_earlier_run_had_kept_is_caught(pool: PartyPool, variant: Variant, randomness: Randomness) -> None:
    """Controls: instances that begin with stored randomness; and a simulation that says of itself that it is insecure,
    whose polynomials and masks are those of the run before."""
    first, second = (run(pool, variant=variant, randomness=randomness) for _ in range(2))
    assert comes_twice(first, second)


def test_what_crosses_has_the_same_shape_whatever_the_images(pool: PartyPool, earlier: Heard) -> None:
    """Number, order and length of all messages."""
    other = run(pool, inputs_NX=images(1) / 2)
    sizes = [[[len(message) for message in messages] for messages in one] for one in (earlier, other)]
    assert sizes[0] == sizes[1]
