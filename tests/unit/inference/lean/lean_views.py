"""What each role sees of a direction, by kind of message, and the statistics that must find nothing in it.

A view holds what a role receives, and what follows from it with what the role knows: with its own share added, an
opening under the peer's mask is the value under that mask alone, which is the most that it can compute. Without the
addition a missing mask would hide behind the role's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.stats import binom, chi2
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import OpeningMaterial, PackedFields
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.lean.program import Opening, Step
from smule_crypten.inference.lean.roles import Evaluator, Share, Talk
from smule_crypten.mpc.packing import pack, unpack

FALSE_ALARM = 1e-9
"""Of a single test. All of them together stay below 1e-6: fewer than a thousand are made."""

View = dict[str, tuple[int, torch.Tensor]]
"""Kind of message -> bits of a value, values int64 (n,)."""


class _Recording(Evaluator):
    """Keeps what is received, with its own share of it added, under the name of the message's kind."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.view: View = {}
        self._own: list[torch.Tensor] = []
        self._width = 0

    def saw(self, kind: str, width: int, values: torch.Tensor) -> None:
        known = f"{kind} {sum(name.startswith(kind) for name in self.view)}"
        self.view[known] = width, values.reshape(-1) & ((1 << width) - 1) if width < 64 else values.reshape(-1)

    def _opening(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share, fraction: int) -> Talk:
        """What the peer will send is z_peer + r_peer; with the own z added it is z + r_peer."""
        own = self._truncated(share.reshape(-1), fraction)
        self._width = opening.width
        bits = material.drawn
        masks = [*bits.packed_all("operand"), bits.packed("bit")] if opening.blocks else []
        self._own = [own, *masks]
        return (yield from super()._opening(step, opening, material, share, fraction))

    def _swap(self, step: Step, number: int, own: torch.Tensor) -> Talk:
        theirs = yield from super()._swap(step, number, own)
        if number == 0:
            share = self._own.pop(0)
            self.saw("opened", self._width, share + unpack(theirs, share.numel(), self._width))
        else:
            size = len(self._own[0])
            masks = torch.cat([self._own.pop(0) for _ in range(len(own) // size)])
            self.saw("bits", 8, (theirs ^ own ^ masks).long())
        return theirs


class RecordingModelOwner(_Recording, ModelOwner):
    def _hand_over(self, step: Step, share: Share) -> Talk:  # type: ignore[override]
        raise NotImplementedError
