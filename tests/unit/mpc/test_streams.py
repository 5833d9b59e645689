from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.keys import KEY_BYTES
from smule_crypten.mpc.streams import Stream, StreamSet

CPU = torch.device("cpu")
KEY = bytes(range(KEY_BYTES))
NAMES = ("generate_random_ring_element", "generate_kbit_random_tensor")


def keystream(elements: torch.Tensor) -> bytes:
    return elements.contiguous().numpy().tobytes()


def reference_keystream(key: bytes, num_blocks: int) -> bytes:
    """CTR by hand (NIST SP 800-38A, 6.5): the block cipher applied to 0, 1, 2, ... as 16 bytes, big-endian."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(b"".join(counter.to_bytes(16, "big") for counter in range(num_blocks)))


def test_published_vector() -> None:
    """AES-256 under the zero key of counters 0, 1 and 2, as in test cases 13 and 14 of the GCM specification.

    (McGrew and Viega, 2004: H, the tag of the empty message, and the first block of ciphertext.)
    """
    expected = bytes.fromhex(
        "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738bcea7403d4d606b6e074ec5d3baf39d18"
    )
    assert keystream(Stream(bytes(KEY_BYTES)).ring_elements((6,))) == expected


def test_long_draws_are_the_cipher_too() -> None:
    """A draw that spans several internal chunks has no seam: it equals the cipher computed block by block."""
    num_blocks = 40_000
    elements = Stream(KEY).ring_elements((2, num_blocks))
    assert elements.nbytes > 2 * (1 << 18)
    assert keystream(elements) == reference_keystream(KEY, num_blocks)


def test_position_only_moves_forward() -> None:
    """Draws of any size, bits among them, take the keystream up where the last one stopped: nothing is used twice."""
    stream = Stream(KEY)
    drawn = [stream.ring_elements((3,)), stream.bits((5, 1), 64), stream.ring_elements(()), stream.ring_elements((0,))]
    drawn += [stream.ring_elements((40_001,)), stream.ring_elements((2, 3))]
    together = torch.cat([elements.flatten() for elements in drawn])
    assert torch.equal(together, Stream(KEY).ring_elements((len(together),)))
    assert len(together.unique()) == len(together)
    assert [tuple(elements.shape) for elements in drawn] == [(3,), (5, 1), (), (0,), (40_001,), (2, 3)]


def test_streams_of_different_keys_differ() -> None:
    """One bit of the key changes everything."""
    other = bytes([KEY[0] ^ 1]) + KEY[1:]
    first, second = (Stream(key).ring_elements((1000,)) for key in (KEY, other))
    assert not (first == second).any()


@settings(max_examples=64, deadline=None, derandomize=True)
@given(bitlength=st.integers(1, 64))
def test_bits_cover_their_range(bitlength: int) -> None:
    """Every bit below bitlength takes both values, no bit above it is ever set, and 64 bits include the sign."""
    drawn = Stream(KEY).bits((500,), bitlength)
    for position in range(64):
        values = ((drawn >> position) & 1).unique().tolist()
        assert values == ([0, 1] if position < bitlength else [0])


def test_uniformity() -> None:
    """Chi-square over the bytes, at each of their eight places: a masked value must not shine through."""
    elements = Stream(KEY).ring_elements((100_000,))
    for place in range(8):
        counts = torch.bincount((elements >> (8 * place)) & 255, minlength=256)
        assert 1e-4 < chisquare(counts.numpy()).pvalue < 1 - 1e-4


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_other_key_lengths_are_refused(length: int) -> None:
    """AES would accept 16 and 24 bytes, with less security than promised."""
    with pytest.raises(ValueError, match=f"32 bytes, got {length}"):
        Stream(bytes(length))


def keyed(*, local: bytes, prev: bytes, next_: bytes) -> StreamSet:
    streams = StreamSet()
    streams.rekey(local=local, prev=prev, next_=next_, public=(local, local))
    return streams


def make_streams() -> StreamSet:
    return keyed(local=bytes([1] * 32), prev=bytes([2] * 32), next_=bytes([3] * 32))


def modules_that_draw() -> dict[str, ModuleType]:
    """Every loaded module of CrypTen that holds one of its random functions by name."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "crypten" and any(hasattr(module, function) for function in NAMES)
    }


def test_crypten_draws_from_the_streams() -> None:
    """Inside, each function that CrypTen imported by name returns keystream: of the given generator, or of local."""
    with make_streams().installed():
        for name in ("common.rng", "mpc.primitives.arithmetic", "mpc.provider.tfp_provider"):
            draw = sys.modules[f"crypten.{name}"].generate_random_ring_element
            assert draw((1,), generator=crypten.generators["prev"][CPU], device=CPU).dtype == torch.int64
        binary = sys.modules["crypten.mpc.primitives.binary"].generate_kbit_random_tensor
        assert set(binary((100,), bitlength=1).tolist()) == {0, 1}
    with make_streams().installed():
        draw = sys.modules["crypten.common.rng"].generate_random_ring_element
        assert torch.equal(draw((7,)), Stream(bytes([1] * 32)).ring_elements((7,)))
        drawn = draw((7,), generator=crypten.generators["next"][CPU])
        assert torch.equal(drawn, Stream(bytes([3] * 32)).ring_elements((7,)))


def test_no_module_of_crypten_is_forgotten() -> None:
    """The trusted third party's provider, which no session uses, is the only one that keeps the stock functions."""
    stock = {name: {f: getattr(m, f, None) for f in NAMES} for name, m in modules_that_draw().items()}
    with make_streams().installed():
        unchanged = [
            name
            for name, module in modules_that_draw().items()
            if any(getattr(module, f, None) is stock[name][f] is not None for f in NAMES)
        ]
    assert unchanged == ["crypten.mpc.provider.ttp_provider"]


def fail_inside(streams: StreamSet) -> None:
    with streams.installed():
        assert set(crypten.generators) == {"local", "prev", "next"}
        raise RuntimeError


def test_everything_is_restored() -> None:
    """After a session, also one that failed, CrypTen is as it was: another program part may rely on it."""

    def state() -> tuple[dict[str, Any], list[Any]]:
        functions = [getattr(module, f, None) for module in modules_that_draw().values() for f in NAMES]
        return dict(crypten.generators), functions

    before = state()
    assert set(before[0]) == {"local", "prev", "next", "global"}
    with pytest.raises(RuntimeError):
        fail_inside(make_streams())
    assert state() == before


def test_stock_drawing_fails_inside() -> None:
    """A call that was forgotten must end in an error, not in weak randomness."""
    stock = sys.modules["crypten.common.rng"].generate_random_ring_element
    with make_streams().installed():
        for name in ("local", "prev", "next"):
            with pytest.raises(TypeError):
                torch.randint(0, 2, (1,), generator=crypten.generators[name][CPU])
        with pytest.raises(TypeError):
            stock((1,))
        with pytest.raises(KeyError):
            crypten.generators["global"]


def test_other_rings_and_devices_are_refused() -> None:
    """The streams fill int64 on the CPU; anything else would be silently wrong."""
    with make_streams().installed():
        draw = sys.modules["crypten.common.rng"].generate_random_ring_element
        with pytest.raises(ValueError, match="2\\^64"):
            draw((1,), ring_size=2**32)
        with pytest.raises(ValueError, match="CPU, not on cuda"):
            draw((1,), device="cuda:0")


def test_shares_of_zero_cancel() -> None:
    """What CrypTen derives from crosswise keys at both parties sums to zero, and is not zero at either."""
    key_a, key_b = bytes([4] * 32), bytes([5] * 32)
    arithmetic, binary = crypten.mpc.primitives.ArithmeticSharedTensor, crypten.mpc.primitives.BinarySharedTensor
    shares = []
    for next_key, prev_key in ((key_a, key_b), (key_b, key_a)):
        streams = keyed(local=KEY, prev=prev_key, next_=next_key)
        with streams.installed():
            shares.append((arithmetic.PRZS((3, 2), device=CPU).share, binary.PRZS((3, 2), device=CPU).share))
    (sum_a, xor_a), (sum_b, xor_b) = shares
    assert torch.equal(sum_a + sum_b, torch.zeros(3, 2, dtype=torch.int64))
    assert torch.equal(xor_a ^ xor_b, torch.zeros(3, 2, dtype=torch.int64))
    assert sum_a.all()
    assert xor_a.all()


def test_nothing_is_drawn_before_keys_are_agreed() -> None:
    """A share under no key would be no mask at all."""
    with StreamSet().installed():
        draw = sys.modules["crypten.common.rng"].generate_random_ring_element
        with pytest.raises(ProtocolError, match="begin_exchange"):
            draw((1,))


def test_rekeying_starts_other_streams() -> None:
    """Each exchange has keys of its own; what CrypTen holds by name follows at once."""
    streams = make_streams()
    with streams.installed():
        draw = sys.modules["crypten.common.rng"].generate_random_ring_element
        first = draw((4,))
        streams.rekey(local=bytes([7] * 32), prev=bytes([8] * 32), next_=bytes([9] * 32), public=(bytes(32), bytes(32)))
        assert torch.equal(draw((4,)), Stream(bytes([7] * 32)).ring_elements((4,)))
        assert not torch.equal(first, draw((4,)))
