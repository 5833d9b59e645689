"""Cryptographic randomness for shares, masks and triples.

CrypTen draws everything from torch.Generator (Mersenne Twister, 32 bits of seed), whose state follows from 312
outputs. Here every element is keystream of AES-256-CTR (NIST SP 800-38A) under a fresh 256-bit key; the counter only
moves forward, so no position is used twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.keys import KEY_BYTES
from smule_crypten.mpc.packing import packed_bytes, unpack

_CHUNK = bytes(1 << 18)
"""Zeros to encrypt: small enough to stay in the cache, large enough to hide the cost of a call."""

_PATCHED_MODULES = (
    "common.rng",
    "mpc.primitives.arithmetic",
    "mpc.primitives.binary",
    "mpc.provider.tfp_provider",
)
_PATCHED_FUNCTIONS = ("generate_random_ring_element", "generate_kbit_random_tensor")


class Stream:
    """A stream of ring elements under one key.

    Args:
        key: 32 bytes, never used for another stream.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a stream key has {KEY_BYTES} bytes, got {len(key)}")
        # The key serves one stream only, so the initial counter block may be zero.
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def ring_elements(self, size: tuple[int, ...]) -> torch.Tensor:
        """Uniform elements of Z_{2^64}, as int64 in two's complement."""
        array = np.empty(math.prod(size), dtype=np.int64)
        self._fill(array.view(np.uint8).data)
        return torch.from_numpy(array).reshape(size)

    def packed(self, count: int, width: int) -> torch.Tensor:
        """`count` uniform integers of `width` bits as int64, drawn as the bytes that mpc/packing.py gives them."""
        return unpack(self.random_bytes(packed_bytes(count, width)), count, width)

    def random_bytes(self, count: int) -> torch.Tensor:
        """Uniform bytes, uint8 (count,)."""
        array = np.empty(count, dtype=np.uint8)
        self._fill(array.data)
        return torch.from_numpy(array)

    def normal(self, size: tuple[int, ...]) -> torch.Tensor:
        """Standard normal values, float64, by the inverse of the distribution function at 53 uniform bits."""
        uniform = (self.bits(size, 53).double() + 0.5) / 2.0**53
        values: torch.Tensor = torch.special.ndtri(uniform)
        return values

    def bits(self, size: tuple[int, ...], bitlength: int) -> torch.Tensor:
        """Uniform integers of `bitlength` bits (1 to 64), as int64: the low bits of 8 bytes each, little-endian."""
        elements = self.ring_elements(size)
        return elements if bitlength == 64 else elements & ((1 << bitlength) - 1)

    def _fill(self, target: memoryview) -> None:
        for start in range(0, len(target), len(_CHUNK)):
            part = target[start : start + len(_CHUNK)]
            self._encryptor.update_into(_CHUNK[: len(part)], part)


class StreamSet:
    """The streams that CrypTen knows by name.

    local is known to this party alone; "next" is shared with the other party and keyed by this one, "prev" is the
    other party's "next". public are keys that both parties contributed to, one for the network of each; a scheme makes
    of them what both must know.
    """

    def __init__(self) -> None:
        self._slots = {name: _AnyDevice() for name in ("local", "prev", "next")}
        self.public: tuple[bytes, bytes] | None = None

    def rekey(self, *, local: bytes, prev: bytes, next_: bytes, public: tuple[bytes, bytes]) -> None:
        """Start new streams under these keys; the old ones are never read again."""
        self.public = public
        for name, key in (("local", local), ("prev", prev), ("next", next_)):
            self._slots[name].stream = Stream(key)

    @property
    def local(self) -> Stream:
        """The stream that this party alone knows."""
        return self._slots["local"][torch.device("cpu")]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Make CrypTen draw from these streams and nothing else.

        CrypTen's generator table then holds streams where it held torch.Generator objects, so a call that this
        module does not know fails in torch instead of drawing weak randomness.
        """
        saved_generators = dict(crypten.generators)
        saved_functions = []
        crypten.generators.clear()
        crypten.generators.update(self._slots)
        for path in _PATCHED_MODULES:
            module = _submodule(path)
            for name in _PATCHED_FUNCTIONS:
                if hasattr(module, name):
                    saved_functions.append((module, name, getattr(module, name)))
                    setattr(module, name, _REPLACEMENTS[name])
        try:
            yield
        finally:
            for module, name, function in saved_functions:
                setattr(module, name, function)
            crypten.generators.clear()
            crypten.generators.update(saved_generators)


class _AnyDevice:
    """CrypTen looks its generators up by device; one stream serves them all."""

    def __init__(self) -> None:
        self.stream: Stream | None = None

    def __getitem__(self, device: torch.device) -> Stream:
        if self.stream is None:
            raise ProtocolError("randomness was asked for before the streams had keys; call begin_exchange first")
        return self.stream


def _random_ring_element(
    size: tuple[int, ...], ring_size: int = 2**64, generator: Stream | None = None, device: object = None
) -> torch.Tensor:
    if ring_size != 2**64:
        raise ValueError(f"only the ring of 2^64 elements is supported, got {ring_size}")
    return _kbit_random_tensor(size, 64, generator, device)


def _kbit_random_tensor(
    size: tuple[int, ...], bitlength: int | None = None, generator: Stream | None = None, device: object = None
) -> torch.Tensor:
    # Shares live on the CPU, whatever device the networks are trained on.
    if device is not None and torch.device(str(device)).type != "cpu":
        raise ValueError(f"shares live on the CPU, not on {device}")
    stream = crypten.generators["local"][torch.device("cpu")] if generator is None else generator
    return stream.bits(size, 64 if bitlength is None else bitlength)


def _submodule(path: str) -> Any:
    module: Any = crypten
    for part in path.split("."):
        module = getattr(module, part)
    return module


_REPLACEMENTS = {
    "generate_random_ring_element": _random_ring_element,
    "generate_kbit_random_tensor": _kbit_random_tensor,
}
