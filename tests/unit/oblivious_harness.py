"""Two scripts played against each other, what crossed, and randomness that repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from smule_crypten.oblivious.blocks import Bits, Blocks, Bytes, marks, scaled
from smule_crypten.oblivious.cots import SenderCots
from smule_crypten.oblivious.hashing import Instance
from smule_crypten.oblivious.parameters import INSECURE_TINY, Plan
from smule_crypten.oblivious.script import Script, Send, Want
from smule_crypten.oblivious.silent import SilentReceiver, SilentSender, open_receiver, open_sender

TINY = Plan(start=INSECURE_TINY, main=INSECURE_TINY)
PUBLIC_SEED = bytes(range(32))
INSTANCE = Instance(PUBLIC_SEED, sender_rank=0)


def repeatable_bytes(seed: int) -> Callable[[int], bytes]:
    encryptor = Cipher(algorithms.AES(seed.to_bytes(16, "little")), modes.CTR(bytes(16))).encryptor()
    return lambda count: encryptor.update(bytes(count))


@dataclass
class Crossed:
    """Messages in the order they were taken, by sender (0, 1); the pauses of both together."""

    messages: list[tuple[int, str, Bytes]] = field(default_factory=list)
    pauses: int = 0

    def sizes(self) -> list[tuple[int, str, int]]:
        return [(who, what, len(data)) for who, what, data in self.messages]

    def sent_by(self, who: int) -> int:
        return sum(len(data) for sender, _, data in self.messages if sender == who)


def converse(first: Script[Any], second: Script[Any]) -> tuple[Any, Any, Crossed]:
    """Play both to their ends. A message is checked against the length that the other one waits for."""
    scripts, results, crossed = (first, second), [None, None], Crossed()
    mail: tuple[list[Bytes], list[Bytes]] = ([], [])
    said: list[Any] = [next(script) for script in scripts]
    over = [False, False]
    while not all(over):
        moved = False
        for who, script in enumerate(scripts):
            while not over[who]:
                answer = None
                if isinstance(said[who], Want):
                    if not mail[who]:
                        break
                    answer = mail[who].pop(0)
                    assert len(answer) == said[who].num_bytes
                elif isinstance(said[who], Send):
                    crossed.messages.append((who, said[who].what, said[who].data))
                    mail[1 - who].append(said[who].data.copy())
                else:
                    crossed.pauses += 1
                moved = True
                try:
                    said[who] = script.send(answer)
                except StopIteration as end:
                    over[who], results[who] = True, end.value
        assert moved, "both wait"
    assert mail == ([], [])
    return results[0], results[1], crossed


def opened(plan: Plan = TINY, stock: int = 256, seed: int = 0) -> tuple[SilentSender, SilentReceiver, Crossed]:
    """Both ends of an instance."""
    sender = open_sender(plan, PUBLIC_SEED, stock, repeatable_bytes(2 * seed + 1), sender_rank=0)
    receiver = open_receiver(plan, PUBLIC_SEED, stock, repeatable_bytes(2 * seed + 2), sender_rank=0)
    return converse(sender, receiver)


def assert_correlated(sender: Blocks, receiver: Blocks, difference: Blocks) -> None:
    """receiver = sender xor (its mark) times D, and marks as blocks.py says."""
    assert difference[0] & np.uint64(1)
    assert not marks(sender).any()
    np.testing.assert_array_equal(receiver, sender ^ scaled(marks(receiver), difference))


def turned_first(batch: SenderCots, flips: Bits) -> SenderCots:
    """A batch turned before it is hashed, by the definition: q + flips D."""
    blocks = batch.spend() ^ scaled(flips, batch.difference)
    return SenderCots(batch._hash, batch._first, blocks, batch.difference)


def random_fields(seed: int, count: int, width: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 1 << min(width, 62), (count,), generator=generator).numpy().astype(np.uint64)
    return values
