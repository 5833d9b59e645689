"""Keys of streams: fresh ones agreed inside an authenticated channel, or repeatable ones for simulation."""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smule_crypten.errors import ProtocolError

KEY_BYTES = 32


def fresh_entropy() -> bytes:
    """256 bits from the operating system."""
    return os.urandom(KEY_BYTES)


def agreed_key(entropy: tuple[bytes, bytes], purpose: str) -> bytes:
    """HKDF-SHA-256 (RFC 5869) over what both ends contributed; purpose separates keys from the same entropy.

    Raises:
        ProtocolError: a contribution is not KEY_BYTES long, so that the boundary between the two would be ambiguous.
    """
    if any(len(part) != KEY_BYTES for part in entropy):
        raise ProtocolError(
            f"entropy for {purpose} is {[len(part) for part in entropy]} bytes; {KEY_BYTES} each are due"
        )
    info = f"smule_crypten|{purpose}".encode()
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(b"".join(entropy))


def insecure_key(seed: int, purpose: str) -> bytes:
    """A key that anyone who knows the run's seed can compute: repeatable simulation only, gives no protection."""
    return hashlib.sha256(f"smule_crypten insecure simulation key|{seed}|{purpose}".encode()).digest()
