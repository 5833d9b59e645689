"""What roles of every scheme of integers do alike: they talk through an outbox, and M lets its logits go concealed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from smule_crypten.fixed_point.evaluator import Evaluator, Share, Talk
from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.fixed_point.wire import Post, Want
from smule_crypten.types import LogitOpening

_NOISE_BITS = 38
"""Binary digits of the noise behind the point that come from its normal distribution."""

OutputNoise = Callable[[tuple[int, ...]], torch.Tensor | None]
Packed = Callable[[int, int], torch.Tensor]
"""So many uniform integers of so many bits, which nobody else knows."""


class RoleEvaluator(Evaluator):
    """One of the two roles. outbox: what it has said and nobody has taken yet."""

    def __init__(self, program: Program, device: torch.device) -> None:
        super().__init__(program, device)
        self.outbox: list[Post] = []

    def _post(self, step: Step, data: torch.Tensor) -> None:
        self.outbox.append(Post(step.name, data.cpu()))

    def _take(self, step: Step, num_bytes: int) -> Talk:
        data = yield Want(step.name, num_bytes)
        return data.to(self._device)


def concealed(
    share: Share, bits: int, scale: int, opening: LogitOpening, output_noise: OutputNoise | None, packed: Packed
) -> Share:
    """M's share of the logits (N, C), modulo 2^bits, as it may leave: with noise, and what is common to them hidden.

    Args:
        scale: of a logit, as a power of two.
        output_noise: what is added to logits of this size; None for nothing.
    """
    if opening == "differences":
        # The same for all classes of a sample, so the soft labels do not change; what is common to them is hidden.
        common = packed(len(share), bits).to(share.device)
        share = share + common.view(-1, *[1] * (share.dim() - 1))
    noise = None if output_noise is None else output_noise(tuple(share.shape))
    return share if noise is None else share + _on_grid(noise, scale, packed).to(share.device)


def _on_grid(noise: torch.Tensor, scale: int, packed: Packed) -> torch.Tensor:
    """Noise in units of 2^-scale. Where these are finer than float64 draws it, uniform bits take its low end."""
    fine = max(0, scale - _NOISE_BITS)
    coarse = (noise * 2.0 ** (scale - fine)).round().long() << fine
    return coarse + packed(noise.numel(), fine).view(noise.shape) if fine else coarse
