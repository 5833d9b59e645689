"""The two roles of a direction: M owns the weights, D the inputs. docs/protocol.md numbers the steps.

A value is a pair of shares (v_M, v_D), int64, whose sum is right modulo 2^ring. M adds public constants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator

import torch
import torch.nn.functional as F

from smule_crypten.inference.lean.and_tree import GreaterTree
from smule_crypten.inference.lean.blocks import look_up
from smule_crypten.inference.lean.dealing import OpeningMaterial
from smule_crypten.inference.lean.program import Opening, Program, Step
from smule_crypten.inference.lean.wire import Post, Want
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import max_pool_padding, max_pool_windows
from smule_crypten.mpc.packing import pack, packed_bytes, unpack

Share = torch.Tensor
Talk = Generator[Want, torch.Tensor, Share]
"""A part of a script that results in a share."""


class Evaluator(ABC):
    """What both roles do in the same way. is_model_owner tells them apart."""

    is_model_owner: bool

    def __init__(self, program: Program, device: torch.device) -> None:
        self._program = program
        self._device = device
        self.outbox: list[Post] = []

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
                    fraction = self._program.steps[step.inputs[0]].fraction
                    (opening,) = step.openings
                    material = self._material(opening, batch)
                    share = yield from self._opening(step, opening, material, operands[0], fraction)
                    values.append(share.view(batch, *step.shape))
                case "max":
                    values.append((yield from self._max(step, batch, operands[0])))
                case _:
                    values.append(_local(step, operands))
        return values[-1]

    @abstractmethod
    def _input_mask(self, position: int) -> torch.Tensor | None:
        """r for the value that is handed over at this position; None at M, which does not know it."""

    @abstractmethod
    def _product(self, position: int, step: Step, share: Share) -> Share:
        """The share of L_W(x)."""

    @abstractmethod
    def _material(self, opening: Opening, batch: int) -> OpeningMaterial:
        """The next material for an opening."""

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        """D sends its share plus r; M then has x + r, D keeps what it has."""
        mask = self._input_mask(position)
        if mask is None:
            return share + (yield from self._take_values(step, share.numel())).view(share.shape)
        self._post(step, pack(share + mask, step.ring))
        return share

    def _opening(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share, fraction: int) -> Talk:
        """Truncate, open under a mask, compare with zero where the step wants that, and go to the wider ring."""
        own = self._truncated(share.reshape(-1), fraction)
        offset = 0 if opening.blocks else 1 << (opening.width - 2)
        own = own + self._public(offset) + material.drawn.values("mask")
        theirs = yield from self._swap(step, 0, pack(own, opening.width))
        public = (own + unpack(theirs, own.numel(), opening.width)) & ((1 << opening.width) - 1)
        if not opening.blocks:
            return self._difference(opening, material, public) - self._public(offset)
        is_open = yield from self._sign(step, opening, material, public)
        return self._select(opening, material, public, is_open)

    def _sign(self, step: Step, opening: Opening, material: OpeningMaterial, public: torch.Tensor) -> Talk:
        """b xor s in the clear, int64 (n,), where b says that the value is not negative."""
        words = material.dealt.values_all("word")
        nodes = look_up(opening.blocks, opening.dropped, public, words, self.is_model_owner)
        operands, products = material.drawn.packed_all("operand"), material.dealt.packed_all("product")
        tree = GreaterTree(nodes, operands, products, self.is_model_owner)
        number = 1
        while not tree.is_done:
            masked = tree.masked_operands()
            own = torch.cat(masked)
            opened = own ^ (yield from self._swap(step, number, own))
            tree.combine(torch.split(opened, [len(bits) for bits in masked]))
            number += 1
        sign = tree.greater ^ pack(material.dealt.values("high"), 1)
        if self.is_model_owner:
            # b = 1 xor the highest bits of the public value and of the mask, xor "low mask > low public value".
            sign = sign ^ ~pack(public >> (opening.width - 1), 1)
        own = sign ^ material.drawn.packed("bit")
        opened = own ^ (yield from self._swap(step, number, own))
        return unpack(opened, public.numel(), 1)

    def _select(
        self, opening: Opening, material: OpeningMaterial, public: torch.Tensor, is_open: torch.Tensor
    ) -> Share:
        """b * z = b' z + (1 - 2 b') s z, where b' = b xor s is public."""
        dealt = material.dealt
        unwrapped = (1 - (public >> (opening.width - 1))) << opening.width
        times_selector = dealt.values("selector") * public - dealt.values("selected_mask")
        times_selector += dealt.values("selected_high") * unwrapped
        kept = self._difference(opening, material, public) - times_selector
        return torch.where(is_open.bool(), kept, times_selector)

    def _difference(self, opening: Opening, material: OpeningMaterial, public: torch.Tensor) -> Share:
        """z = c - r + high * (1 - highest bit of c) * 2^width, for z >= 0; r = r_M + r_D - wrap * 2^width."""
        dealt = material.dealt
        unwrapped = 1 - (public >> (opening.width - 1))
        turns = dealt.values("wrap") + dealt.values("high") * unwrapped
        share = (turns << opening.width) - material.drawn.values("mask")
        return share + public if self.is_model_owner else share

    def _max(self, step: Step, batch: int, share: Share) -> Talk:
        """max(a, b) = b + relu(a - b), in a tree over the window."""
        assert isinstance(step.op, arch.MaxPool2d)
        # Below every value, and close enough for a difference to stay in its width.
        edge = 0 if step.is_non_negative or not step.openings else 1 - (1 << (step.openings[0].width - 2))
        output = (step.shape[1], step.shape[2])
        pads = max_pool_padding(step.op, (share.size(2), share.size(3)), output)
        windows = max_pool_windows(F.pad(share, pads, value=self._public(edge)), step.op, output)
        for opening in step.openings:
            half = len(windows) // 2
            material = self._material(opening, batch)
            larger = yield from self._opening(
                step, opening, material, windows[:half] - windows[half : 2 * half], fraction=0
            )
            largest = windows[half : 2 * half] + larger.view(windows[:half].shape)
            windows = torch.cat([largest, windows[2 * half :]])
        return windows[0]

    def _truncated(self, share: Share, fraction: int) -> Share:
        """Drop the fraction of a share: stochastic rounding of the value, without bias.

        The sum of both parties' floors is the floor of v or one less; with 2^fraction - 1 added, the mean is v.
        """
        return (share + self._public((1 << fraction) - 1)) >> fraction

    def _public(self, constant: int) -> int:
        return constant if self.is_model_owner else 0

    def _zeros(self, batch: int, step: Step) -> Share:
        return torch.zeros(batch, *step.shape, dtype=torch.int64, device=self._device)

    def _swap(self, step: Step, number: int, own: torch.Tensor) -> Talk:
        """Both send; who sends first alternates, so that each message carries the answer and the next question."""
        if (number % 2 == 1) == self.is_model_owner:
            self._post(step, own)
            return (yield from self._take(step, own.nbytes))
        theirs = yield from self._take(step, own.nbytes)
        self._post(step, own)
        return theirs

    def _post(self, step: Step, data: torch.Tensor) -> None:
        self.outbox.append(Post(step.name, data.cpu()))

    def _take(self, step: Step, num_bytes: int) -> Talk:
        data = yield Want(step.name, num_bytes)
        return data.to(self._device)

    def _take_values(self, step: Step, count: int) -> Talk:
        """`count` ring elements of the step."""
        data = yield from self._take(step, packed_bytes(count, step.ring))
        return unpack(data, count, step.ring)


def _local(step: Step, operands: list[Share]) -> Share:
    match step.kind:
        case "sum":
            assert step.pool is not None
            return step.pool.sums(operands[0])
        case "weight":
            assert step.pool is not None
            return step.pool.sums(operands[0]) * step.pool.weights(operands[0].device)
        case "add":
            return (operands[0] << step.shifts[0]) + (operands[1] << step.shifts[1])
        case _:
            return operands[0].reshape(len(operands[0]), *step.shape)
