from __future__ import annotations

import hashlib
import hmac

import pytest

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.keys import KEY_BYTES, agreed_key, fresh_entropy, insecure_key

_ENTROPY = (bytes(range(32)), bytes(range(32, 64)))


def _hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, written out from its text: extract, then expand."""
    pseudo_random_key = hmac.digest(salt or bytes(32), secret, hashlib.sha256)
    output, block = b"", b""
    while len(output) < length:
        block = hmac.digest(pseudo_random_key, block + info + bytes([len(output) // 32 + 1]), hashlib.sha256)
        output += block
    return output[:length]


def test_the_key_derivation_is_rfc_5869() -> None:
    """Pins the construction: test case 1 of the RFC checks the oracle, the oracle checks ours."""
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    assert _hkdf_sha256(b"\x0b" * 22, salt, info, 42) == bytes.fromhex(expected)
    assert agreed_key(_ENTROPY, "tests") == _hkdf_sha256(bytes(range(64)), b"", b"smule_crypten|tests", KEY_BYTES)


def test_both_ends_derive_the_same_key() -> None:
    """The same contributions and purpose give the same key, of full length, every time."""
    assert agreed_key(_ENTROPY, "x") == agreed_key((bytes(_ENTROPY[0]), bytes(_ENTROPY[1])), "x")
    assert len(agreed_key(_ENTROPY, "x")) == KEY_BYTES


def test_purposes_and_contributions_separate_keys() -> None:
    """No two streams share a key: another purpose, another order or one changed bit gives another one."""
    changed = (_ENTROPY[0], bytes([_ENTROPY[1][0] ^ 1]) + _ENTROPY[1][1:])
    keys = {
        agreed_key(_ENTROPY, "exchange 1"),
        agreed_key(_ENTROPY, "exchange 2"),
        agreed_key(_ENTROPY[::-1], "exchange 1"),
        agreed_key(changed, "exchange 1"),
    }
    assert len(keys) == 4


@pytest.mark.parametrize("entropy", [(b"", bytes(64)), (bytes(33), bytes(31)), (bytes(32), b"")])
def test_a_contribution_of_another_length_is_refused(entropy: tuple[bytes, bytes]) -> None:
    """A peer cannot shift the boundary between the contributions, nor send none at all."""
    with pytest.raises(ProtocolError, match="32 each are due"):
        agreed_key(entropy, "exchange 1")


def test_fresh_entropy_does_not_repeat() -> None:
    """256 bits each time, never a constant."""
    drawn = {fresh_entropy() for _ in range(100)}
    assert len(drawn) == 100
    assert {len(entropy) for entropy in drawn} == {KEY_BYTES}


def test_repeatable_keys_follow_from_seed_and_purpose() -> None:
    """A simulation repeats exactly, and its streams are still different from each other."""
    assert insecure_key(7, "x") == insecure_key(7, "x")
    assert len({insecure_key(seed, purpose) for seed in (7, 8, 71) for purpose in ("x", "y", "1|x")}) == 9
