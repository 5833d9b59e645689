"""Each process of a simulation loads the data set itself; here it is found out if a loader gave them different ones.

A loader without a seed would make one party's training images the other one's test images. Only a simulation compares:
between hosts each party has data of its own, and a digest of private data is nothing to send.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import DataError, HandshakeError
from smule_crypten.party.hooks import Swap
from smule_crypten.party.states import digest_of

_KEY = "simulated_data"


def bundle_digest(bundle: DataBundle) -> str:
    """SHA-256 over ids, labels and images of both splits, class names and public pool, in hexadecimal."""
    names = "\n".join(bundle.class_names)
    made_of = None if bundle.origin is None else bundle.origin.content
    text = f"{digest_of(bundle.train, bundle.test, made_of=made_of)}\n{names}"
    if bundle.public_pool is not None:
        text += f"\n{bundle.public_pool.digest}"
    return hashlib.sha256(text.encode()).hexdigest()


def require_same(bundle: DataBundle, expected: str, data: DataConfig) -> None:
    """Refuse another data set than that of this digest, which another process, or an earlier call, has loaded.

    Raises:
        DataError: with cause and remedy.
    """
    if bundle_digest(bundle) != expected:
        raise _different(data)


def comparing_data(config: PartyConfig, bundle: DataBundle, swap: Swap) -> Swap:
    """`swap` for one message more: in a simulation the digest goes with it, and is compared with the other party's.

    A round of its own would make a simulation count otherwise than a run between hosts, where swap stays as it is.

    Args:
        swap: own message -> peer's message.

    Returns:
        As swap; raises DataError where the other party has loaded another data set, HandshakeError where its message is
        malformed.
    """

    def swap_and_compare(message: object) -> object:
        own = {**message, _KEY: bundle_digest(bundle)} if isinstance(message, Mapping) else message
        theirs = swap(own)
        digest = theirs.get(_KEY) if isinstance(theirs, Mapping) else None
        if not isinstance(digest, str):
            raise HandshakeError("the other party did not say which data it has loaded; start the same version")
        require_same(bundle, digest, config.data)
        return theirs

    return swap_and_compare


def _different(data: DataConfig) -> DataError:
    who = data.options.get("_target_") if data.name == "target" else None
    if who is None:
        return DataError(
            f"data set {data.name!r}: two processes of this run read different samples; let nothing change the "
            "files in data.path while a run starts"
        )
    return DataError(
        f"data.options._target_: {who} gives each process other samples, so that one party's training images could be "
        "the other one's test images; seed your loader (for example torch.Generator().manual_seed(0) for its split), "
        "sort what it lists, and change no image at random"
    )
