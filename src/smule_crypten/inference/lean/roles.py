"""What the two roles of a direction do in the same way: M owns the weights, D the inputs.

A value is a pair of shares (v_M, v_D), int64, whose sum is right modulo 2^ring. docs/protocol.md numbers the steps.
"""

from __future__ import annotations

from abc import abstractmethod

import torch

from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Opening, Step
from smule_crypten.fixed_point.role import RoleEvaluator
from smule_crypten.inference.lean.and_tree import GreaterTree
from smule_crypten.inference.lean.blocks import look_up
from smule_crypten.inference.lean.dealing import OpeningMaterial
from smule_crypten.mpc.packing import pack, packed_bytes, unpack


class ShareEvaluator(RoleEvaluator):
    """One of the two."""

    @abstractmethod
    def _input_mask(self, position: int) -> torch.Tensor | None:
        """`r` for the value that is handed over at this position; None at M, which does not know it."""

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

    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        """Round the fraction away, open under a mask, compare, and go to the ring of the result.

        Input: shares of z modulo 2^(w + f). Output: shares modulo 2^k of max(v, -offset), v = floor((z + rho) / 2^f);
        rho is uniform, and unknown to both parties. See `_public_value` for steps 1 to 3, `_sign` for 4 and 5. Beyond
        the range, |z + offset * 2^f| <= 2^(w + f - 1) - 2^f, v + offset wraps modulo 2^w: a function of z and rho
        alone, so that a wrap, too, has nothing to do with what either party sees. (A truncation that compared nothing
        would be cheaper; but which way it wraps would follow from c.)
        """
        material = self._material(opening, batch)
        share = share.reshape(-1).to(material.dtype) + self._public(opening.offset << opening.fraction)
        public = yield from self._public_value(step, opening, material, share)
        is_open = yield from self._sign(step, opening, material, public)
        return self._select(opening, material, public, is_open).long() - self._public(opening.offset)

    @abstractmethod
    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        """`c` = floor((z + rho) / 2^f) + r mod 2^w, known to both: stochastic rounding that neither can predict.

        1. D sends y_D + r_D 2^f with y_D = z_D + rho_D: w + f bits. To M the low f bits are uniform by rho_D, the
           others by r_D.
        2. M forms y_M = z_M + rho_M + (the low f bits of y_D), and drops its low f bits. D's share of z + rho is now a
           multiple of 2^f, so that floor is exact: rho = rho_M + rho_D mod 2^f, and kappa is the carry of that sum.
        3. M sends the rest of y_M plus r_M: w bits, uniform to D by r_M. Both have c, where r = r_M + r_D + kappa.

        One round and a half: M's message waits for D's. (docs/protocol.md, step 5 of scheme lean)
        """

    def _sign(self, step: Step, opening: Opening, material: OpeningMaterial, public: torch.Tensor) -> Talk:
        """`b` xor s in the clear (n,), where b says that the value is not negative."""
        words = material.dealt.values_all("word")
        nodes = look_up(opening.blocks, public, words, self.is_model_owner)
        operands, products = material.drawn.packed_all("operand"), material.dealt.packed_all("product")
        tree = GreaterTree(nodes, operands, products, self.is_model_owner)
        number = 1
        while not tree.is_done:
            masked = tree.masked_operands()
            own = torch.cat(masked)
            opened = own ^ (yield from self._swap(step, number, own))
            tree.combine(torch.split(opened, [len(bits) for bits in masked]))
            number += 1
        sign = tree.greater ^ pack(material.high, 1)
        if self.is_model_owner:
            # b = 1 xor the highest bits of the public value and of the mask, xor "low mask > low public value".
            sign = sign ^ ~pack(public >> (opening.width - 1), 1)
        own = sign ^ material.drawn.packed("bit")
        opened = own ^ (yield from self._swap(step, number, own))
        return unpack(opened, public.numel(), 1, public.dtype)

    def _select(
        self, opening: Opening, material: OpeningMaterial, public: torch.Tensor, is_open: torch.Tensor
    ) -> Share:
        """`b` * z = b' z + (1 - 2 b') s z, where b' = b xor s is public."""
        dealt, kind = material.dealt, public.dtype
        unwrapped = (1 - (public >> (opening.width - 1))) << opening.width
        times_selector = dealt.values("selector", kind) * public
        times_selector -= dealt.values("selected_mask", kind)
        times_selector += dealt.values("selected_high", kind) * unwrapped
        difference = self._difference(opening, material, public, unwrapped)
        difference -= 2 * times_selector
        difference *= is_open
        return difference + times_selector

    def _difference(
        self, opening: Opening, material: OpeningMaterial, public: torch.Tensor, unwrapped: torch.Tensor
    ) -> Share:
        """`v` = c - r + high * (1 - highest bit of c) * 2^width, for v >= 0; r = r_M + r_D + lift."""
        dealt, kind = material.dealt, public.dtype
        share = material.high * unwrapped
        share -= dealt.values("lift", kind) << (0 if opening.fraction else opening.width)
        share -= material.mask
        return share + public if self.is_model_owner else share

    def _swap(self, step: Step, number: int, own: torch.Tensor) -> Talk:
        """Both send; who sends first alternates, so that each message carries the answer and the next question."""
        if (number % 2 == 1) == self.is_model_owner:
            self._post(step, own)
            return (yield from self._take(step, own.nbytes))
        theirs = yield from self._take(step, own.nbytes)
        self._post(step, own)
        return theirs

    def _take_values(self, step: Step, count: int) -> Talk:
        """`count` ring elements of the step."""
        data = yield from self._take(step, packed_bytes(count, step.ring))
        return unpack(data, count, step.ring)
