"""The steps of a program in order, whatever a value is held as: a share of one role, or the value in the clear.

Values are int64, right modulo 2^ring; in the clear or as a pair of shares (v_M, v_D) whose sum is. M adds public
constants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator

import torch
import torch.nn.functional as F

from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.fixed_point.wire import Want
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import max_pool_padding, max_pool_windows

Share = torch.Tensor
Talk = Generator[Want, torch.Tensor, Share]
"""A part of a script that results in a share."""


class Evaluator(ABC):
    """Walks the steps; what messages need is left to the subclass. is_model_owner: whether it adds public constants."""

    is_model_owner: bool

    def __init__(self, program: Program, device: torch.device) -> None:
        self._program = program
        self._device = device

    def _encoded(self, inputs_NX: torch.Tensor) -> Share:
        """Inputs as the integers of the first step."""
        inputs_NX = arch.lifted(inputs_NX).to(self._device).double()
        return (inputs_NX * (1 << self._program.input_bits)).round().long()

    def _evaluate(self, batch: int, first: Share | None) -> Talk:
        """All steps for one micro-batch; first is the input at D."""
        values: list[Share] = []
        for position, step in enumerate(self._program.steps):
            operands = [values[i] for i in step.inputs]
            match step.kind:
                case "input":
                    values.append(self._zeros(batch, step) if first is None else first)
                case "mask":
                    values.append((yield from self._hand_over(position, step, operands[0])))
                case "product":
                    values.append(self._product(position, step, operands[0]))
                case "truncate" | "relu":
                    (opening,) = step.openings
                    share = yield from self._opening(step, opening, batch, operands[0])
                    values.append(share.view(batch, *step.shape))
                case "max":
                    values.append((yield from self._max(step, batch, operands[0])))
                case _:
                    values.append(self._local_step(position, operands))
        return values[-1]

    @abstractmethod
    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        """What the product after this step begins with."""

    @abstractmethod
    def _product(self, position: int, step: Step, share: Share) -> Share:
        """L_W(x), with its bias."""

    @abstractmethod
    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        """Values (n,) rounded to their width, and those below -offset raised to it."""

    def _max(self, step: Step, batch: int, share: Share) -> Talk:
        """max(a, b) = b + relu(a - b), in a tree over the window."""
        assert isinstance(step.op, arch.MaxPool2d)
        # Below every value, and close enough for a difference to stay in its width.
        edge = 0 if step.is_non_negative or not step.openings else 1 - (1 << (step.openings[0].width - 2))
        output = (step.shape[1], step.shape[2])
        pads = max_pool_padding(step.op, (share.size(2), share.size(3)), output)
        value = self._public(edge << self._below(step.inputs[0]))
        windows = max_pool_windows(F.pad(share, pads, value=value), step.op, output)
        for opening in step.openings:
            half = len(windows) // 2
            larger = yield from self._opening(step, opening, batch, windows[:half] - windows[half : 2 * half])
            largest = windows[half : 2 * half] + larger.view(windows[:half].shape)
            windows = torch.cat([largest, windows[2 * half :]])
        return windows[0]

    def _public(self, constant: int) -> int:
        return constant if self.is_model_owner else 0

    def _below(self, position: int) -> int:
        """Bits below a unit of the values of a step, as they are held here."""
        return 0

    def _local_step(self, position: int, operands: list[Share]) -> Share:
        """What each role does alone."""
        step = self._program.steps[position]
        match step.kind:
            case "sum":
                assert step.pool is not None
                return step.pool.sums(operands[0])
            case "weight":
                assert step.pool is not None
                return step.pool.sums(operands[0]) * step.pool.weights(operands[0].device)
            case "add":
                below = [self._below(source) for source in step.inputs]
                left, right = (
                    self._below(position) + shift - own for shift, own in zip(step.shifts, below, strict=True)
                )
                return operands[0] * (1 << left) + operands[1] * (1 << right)
            case _:
                return operands[0].reshape(len(operands[0]), *step.shape)

    def _zeros(self, batch: int, step: Step) -> Share:
        return torch.zeros(batch, *step.shape, dtype=torch.int64, device=self._device)
