"""Base transfers of random keys by Diffie-Hellman on X25519 alone: the receiver knows one of two secret keys.

An oblivious transfer from public keys that can be drawn without their secret keys (Even, Goldreich, Lempel 1985; with
ElGamal keys as in Naor, Pinkas 2001; keys drawn so as in Damgard, Nielsen 2000). For each transfer with choice c:

1. Sender -> receiver, once, 32 bytes: A = X25519(a, base point).
2. Receiver -> sender, 64 bytes a transfer, crossing 1: (P_0, P_1), where P_c = X25519(s, base point) with s its own,
   and P_(1-c) = X25519(e, u), with u a random point of the curve and e random and forgotten: nobody knows its
   logarithm.
3. Sender: key_b = SHA-256(label, A, P_0, P_1, X25519(a, P_b)), with the instance's label of "base|NUMBER|b"
   (hashing.py) and points of 32 bytes. Receiver: key_c with X25519(s, A).

Randomness, 32 bytes each, in this order: the sender takes a. The receiver takes s of every transfer, then 640
candidates (little-endian, bit 255 ignored), of which the first ones on the curve are the u, then e of every transfer.

One round; nothing is opened. Semi-honest security:
- The sender learns nothing of c. Scalars of X25519 are 8 m with 2^251 <= m < 2^252, and the group of prime order has
  l = 2^252 + d points, d < 2^125: up to sign, which an abscissa does not show, these m meet every point once, but for
  a part below 2^-125. So P_c is uniform on the abscissas of that group. So is P_(1-c): the factor 8 leaves the part
  of u in that group, which is uniform, and m permutes it. (A map such as Elligator in place of a random u would not
  do: its image is half of the curve, and whether P_(1-c) could come from there tells it from P_c.)
- The receiver learns nothing of key_(1-c): its secret is the Diffie-Hellman value of A and a P_(1-c) without a known
  logarithm, hashed as a random oracle (computational Diffie-Hellman on Curve25519).

Constant time: all operations with a, s, e are the library's X25519. Whether a candidate u lies on the curve is decided
with Python's integers, on a fixed number of candidates that depend on no choice and of which u is forgotten.
"""

from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from smule_crypten.errors import ProtocolError
from smule_crypten.oblivious.blocks import Bits, Bytes, RandomBytes
from smule_crypten.oblivious.hashing import Instance
from smule_crypten.oblivious.script import Script, Send, Want, received

KEY_BYTES = 32
_POINT_BYTES = 32
MOST_TRANSFERS = 128
_CANDIDATES = 5 * MOST_TRANSFERS
"""Each lies on the curve with probability 1/2; that fewer than 128 of them do has probability below 2^-184."""
_PRIME = 2**255 - 19
_COEFFICIENT = 486662
"""Curve25519: v^2 = u^3 + 486662 u^2 + u modulo 2^255 - 19."""
_ABSCISSA = (1 << 255) - 1


def sender_bytes() -> int:
    return _POINT_BYTES


def receiver_bytes(count: int) -> int:
    return 2 * count * _POINT_BYTES


def send_keys(instance: Instance, count: int, random_bytes: RandomBytes) -> Script[list[tuple[bytes, bytes]]]:
    """The sender's side: both keys of each transfer.

    Raises:
        ProtocolError: the other party sent what is no point of the group.
    """
    secret = X25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES))
    own = secret.public_key().public_bytes_raw()
    yield Send("base transfers", np.frombuffer(own, dtype=np.uint8))
    want = Want("base transfers", receiver_bytes(count))
    points = received((yield want), want).reshape(count, 2, _POINT_BYTES)
    keys = []
    for number in range(count):
        pair = points[number].tobytes()
        first, second = (_shared(secret, points[number, bit].tobytes()) for bit in (0, 1))
        keys.append((_key(instance, number, 0, own, pair, first), _key(instance, number, 1, own, pair, second)))
    return keys


def receive_keys(instance: Instance, choices: Bits, random_bytes: RandomBytes) -> Script[list[bytes]]:
    """The receiver's side: the key that each choice names.

    Raises:
        ProtocolError: the other party sent what is no point of the group.
    """
    secrets = [X25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES)) for _ in choices]
    known = [secret.public_key().public_bytes_raw() for secret in secrets]
    unknown = [
        _shared(X25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES)), point)
        for point in _random_points(len(choices), random_bytes)
    ]
    pairs = _in_order(choices, known, unknown)
    yield Send("base transfers", pairs.reshape(-1))
    want = Want("base transfers", sender_bytes())
    theirs = received((yield want), want).tobytes()
    return [
        _key(instance, number, int(choice), theirs, pairs[number].tobytes(), _shared(secret, theirs))
        for number, (choice, secret) in enumerate(zip(choices, secrets, strict=True))
    ]


def _in_order(choices: Bits, known: list[bytes], unknown: list[bytes]) -> Bytes:
    """Points (count, 2, 32), the known one at its choice; no branch depends on a choice."""
    points = [np.frombuffer(b"".join(side), dtype=np.uint8).reshape(-1, _POINT_BYTES) for side in (known, unknown)]
    swap = (points[0] ^ points[1]) & (np.uint8(0) - choices)[:, None]
    return np.stack([points[0] ^ swap, points[1] ^ swap], axis=1)


def _random_points(count: int, random_bytes: RandomBytes) -> list[bytes]:
    """Abscissas of uniform points of the curve."""
    if count > MOST_TRANSFERS:
        raise ValueError(f"at most {MOST_TRANSFERS} base transfers are made, got {count}")
    data = random_bytes(_CANDIDATES * _POINT_BYTES)
    drawn = [
        int.from_bytes(data[start : start + _POINT_BYTES], "little") & _ABSCISSA
        for start in range(0, len(data), _POINT_BYTES)
    ]
    found = [value for value in drawn if is_on_curve(value)]
    return [value.to_bytes(_POINT_BYTES, "little") for value in found[:count]]


def is_on_curve(abscissa: int) -> bool:
    """Whether a point of Curve25519, and not of its twist, has this abscissa."""
    square = (abscissa**3 + _COEFFICIENT * abscissa**2 + abscissa) % _PRIME
    return pow(square, (_PRIME - 1) // 2, _PRIME) == 1


def _shared(secret: X25519PrivateKey, point: bytes) -> bytes:
    try:
        return secret.exchange(X25519PublicKey.from_public_bytes(point))
    except ValueError as error:
        raise ProtocolError(
            "a base transfer got a point of small order; the other party runs another program, or is not honest"
        ) from error


def _key(instance: Instance, number: int, bit: int, sender_point: bytes, pair: bytes, shared: bytes) -> bytes:
    return hashlib.sha256(instance.label(f"base|{number}|{bit}") + sender_point + pair + shared).digest()
