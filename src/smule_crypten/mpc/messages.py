"""Messages that do not block: what CrypTen's isend and irecv return, in order with everything else on the channel.

A message that was asked for moves with the next operation in its direction, or when it is waited for. Where a receive
is posted, too, what is to be sent crosses with it, so two parties that both send first do not block each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from smule_crypten.transport.channel import Channel


class PendingMessage:
    """One message, with the two methods of torch.distributed's Work that CrypTen's users know."""

    def __init__(self, tensor: torch.Tensor, complete: Callable[[PendingMessage], None]) -> None:
        self.tensor = tensor
        self.done = False
        self._complete = complete

    def wait(self) -> None:
        """Return when a tensor that is sent may be changed, or one that is received may be read."""
        if not self.done:
            self._complete(self)

    def is_completed(self) -> bool:
        """True, after completing the message if need be: a loop that waits for True ends."""
        self.wait()
        return True


class MessageQueue:
    """The one way from the communicator to the channel. seconds is the time that its calls took."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sends: list[PendingMessage] = []
        self._receives: list[PendingMessage] = []
        self.seconds = 0.0

    def post_send(self, tensor: torch.Tensor) -> PendingMessage:
        """`tensor` must not change before wait()."""
        self._sends.append(PendingMessage(tensor, self._complete_send))
        return self._sends[-1]

    def post_receive(self, tensor: torch.Tensor) -> PendingMessage:
        """Fills tensor itself."""
        self._receives.append(PendingMessage(tensor, self._receive_until))
        return self._receives[-1]

    def transfer(self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor]) -> None:
        """Channel.transfer after the posted messages: one round together with them."""
        self._move(outgoing, incoming, len(self._receives) if incoming else 0)

    def send_json(self, value: object) -> None:
        self.transfer([], [])
        self._timed(lambda: self._channel.send_json(value))

    def receive_json(self) -> Any:
        self._move([], [], len(self._receives))
        return self._timed(self._channel.receive_json)

    def _complete_send(self, message: PendingMessage) -> None:
        if self._receives:
            # To send alone could block both parties; a copy crosses with the receive, and the caller has his own back.
            message.tensor, message.done = message.tensor.clone(), True
        else:
            self.transfer([], [])

    def _receive_until(self, last: PendingMessage) -> None:
        self._move([], [], self._receives.index(last) + 1)

    def _move(self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], due: int) -> None:
        """Send what was posted, then outgoing; meanwhile fill the first `due` posted tensors, then incoming."""
        sends, self._sends = self._sends, []
        receives, self._receives = self._receives[:due], self._receives[due:]
        arrived = [empty_like(message.tensor) for message in receives]
        self._timed(
            lambda: self._channel.transfer([*(message.tensor for message in sends), *outgoing], [*arrived, *incoming])
        )
        for message, value in zip(receives, arrived, strict=True):
            message.tensor.copy_(value)
        for message in (*sends, *receives):
            message.done = True

    def _timed(self, action: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return action()
        finally:
            self.seconds += time.perf_counter() - started


def empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """Same shape and type, but contiguous whatever the layout of tensor: ready to be filled by a channel."""
    return torch.empty(tensor.shape, dtype=tensor.dtype)
