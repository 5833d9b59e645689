"""What each role sees of a direction, by kind of message, and the statistics that must find nothing in it.

A view holds what a role receives, with what the role itself can take off: an opening is recorded with the own share
added and the own mask left out, so that nothing but the peer's mask protects it. (With the own mask left in, a missing
mask of the peer would hide behind it.) What D knows of its own share before each rounding is kept beside it: the joint
distribution with its output is looked at in test_lean_joint_views.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import binom, chi2
from sklearn.linear_model import LogisticRegression

from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Opening, Step
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import OpeningMaterial, PackedFields
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.lean.roles import ShareEvaluator
from smule_crypten.mpc.packing import unpack

FALSE_ALARM = 1e-10
"""Of a single test, were the seeds not fixed. Fewer than 10,000 are made in all, so an alarm is false in 1e-6 runs."""

View = dict[tuple[int, str], tuple[int, torch.Tensor]]
"""(micro-batch, kind of message and its number) -> bits of a value, values (n,)."""


class _Recording(ShareEvaluator):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.view: View = {}
        self._batch = -1
        self._numbers: Counter[str] = Counter()
        self._own: list[torch.Tensor] = []
        self._heard = torch.empty(0)

    def saw(self, kind: str, width: int, values: torch.Tensor) -> None:
        self.view[self._batch, f"{kind} {self._numbers[kind]}"] = width, values.reshape(-1)
        self._numbers[kind] += 1

    def _evaluate(self, batch: int, first: Share | None) -> Talk:
        self._batch, self._numbers = self._batch + 1, Counter()
        return (yield from super()._evaluate(batch, first))

    def _take(self, step: Step, num_bytes: int) -> Talk:
        self._heard = yield from super()._take(step, num_bytes)
        return self._heard

    def _sign(self, step: Step, opening: Opening, material: OpeningMaterial, public: torch.Tensor) -> Talk:
        self._own = [*material.drawn.packed_all("operand"), material.drawn.packed("bit")]
        return (yield from super()._sign(step, opening, material, public))

    def _swap(self, step: Step, number: int, own: torch.Tensor) -> Talk:
        theirs = yield from super()._swap(step, number, own)
        masks = torch.cat([self._own.pop(0) for _ in range(len(own) // len(self._own[0]))])
        self.saw("bits", 8, (theirs ^ own ^ masks).long())
        return theirs


class SeeingModelOwner(_Recording, ModelOwner):
    """Sees values under D's masks, openings, and the dealer's corrections."""

    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        public = yield from super()._public_value(step, opening, material, share)
        self.saw("opened", opening.source_bits, share + unpack(self._heard, share.numel(), opening.source_bits))
        return public

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        masked = yield from super()._hand_over(position, step, share)
        self.saw("handed over", step.ring, masked)
        return masked

    def _correction(self, fields: dict[str, tuple[int, int]]) -> PackedFields:
        dealt = super()._correction(fields)
        for name, (_, width) in fields.items():
            if width == 1:
                self.saw(f"dealt {name}", 8, dealt.packed(name).long())
            else:
                self.saw(f"dealt {name}", width, dealt.values(name))
        return dealt


class SeeingDataOwner(_Recording, DataOwner):
    """Sees the masked weights and openings. Its output is left out here.

    knowledge: for each rounding, in order, everything that D has in its hands of it, by name: fractions of the range.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.knowledge: list[dict[str, torch.Tensor]] = []

    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        public = yield from super()._public_value(step, opening, material, share)
        fraction, below = opening.fraction, (1 << opening.fraction) - 1
        rho = material.drawn.values("rounding") if fraction else torch.zeros_like(share)
        theirs = unpack(self._heard, share.numel(), opening.width)
        self.saw("opened", opening.width, ((share + rho) >> fraction) + theirs)
        if fraction:
            known = {"own share": share & below, "own part of rho": rho & below, "said": (share + rho) & below}
            found = {name: values.double() / (below + 1) for name, values in known.items()}
            found |= {"opened": public.double() / (1 << opening.width), "lowest bit": (public & 1).double()}
            self.knowledge.append(found)
        return public

    def _take_weights(self) -> Any:
        yield from super()._take_weights()
        for step in self._program.products:
            self.saw("weight", step.ring, self._weights[step.name])


def differences(first: View, second: View) -> View:
    """What two views of the same program give together: a mask that is used twice falls out."""
    found: View = {}
    for key in first.keys() & second.keys():
        width, values = first[key]
        other = second[key][1]
        found[key] = width, values ^ other if width == 8 else values - other
    return found


def between_batches(view: View) -> View:
    """The same for two micro-batches of one direction."""
    halves = [{(0, kind): seen for (number, kind), seen in view.items() if number == batch} for batch in (0, 1)]
    return differences(*halves)


def pooled(views: Sequence[View]) -> View:
    """Values of many runs, message by message."""
    return {key: (width, torch.cat([view[key][1] for view in views])) for key, (width, _) in views[0].items()}


def not_uniform(views: Sequence[View]) -> list[tuple[int, str]]:
    """The messages whose values are not uniform over many runs.

    Chi-square of the number of ones at each bit, and of the values of the lowest and of the highest byte (or of half a
    byte, where there are too few values to fill 256 cells).
    """
    found = []
    for key, (width, values) in pooled(views).items():
        bits = _bits(values.numpy(), width)
        statistic = ((2.0 * bits.sum(0) - len(bits)) ** 2 / len(bits)).sum()
        tests = [(statistic, width)]
        digit = min(width, 8 if len(values) > 10 * 256 else 4)
        for shift in (0, width - digit):
            counts = np.bincount((values.numpy() >> shift) & ((1 << digit) - 1), minlength=1 << digit)
            expected = len(values) / len(counts)
            tests.append((((counts - expected) ** 2 / expected).sum(), len(counts) - 1))
        if any(value > chi2.isf(FALSE_ALARM, freedom) for value, freedom in tests):
            found.append(key)
    return sorted(found)


def can_tell_apart(first: Sequence[View], second: Sequence[View]) -> bool:
    """Whether a linear classifier, taught on half of the views, tells the other half better than a coin could. It looks
    at the columns that differ most in what it is taught on.
    """
    features = np.stack([_features(view) for view in (*first, *second)])
    secret = np.repeat([0, 1], [len(first), len(second)])
    taught = np.arange(len(secret)) % 2 == 0
    features = features[:, _telling_columns(features[taught], secret[taught])]
    classifier = LogisticRegression().fit(features[taught], secret[taught])
    right = int((classifier.predict(features[~taught]) == secret[~taught]).sum())
    return bool(right > binom.isf(FALSE_ALARM, int((~taught).sum()), 0.5))


def _telling_columns(features: np.ndarray, secret: np.ndarray, count: int = 64) -> np.ndarray:
    """Those whose means differ most, in units of their scatter."""
    first, second = (features[secret == value] for value in (0, 1))
    scatter = np.sqrt(first.var(0) + second.var(0)) + 1e-3
    return np.argsort(-np.abs(first.mean(0) - second.mean(0)) / scatter)[:count]


def _features(view: View) -> np.ndarray:
    """Every value as a fraction of its range, and every bit of what is sent as bits."""
    parts = []
    for key in sorted(view):
        width, values = view[key]
        if width == 8:
            parts.append(_bits(values.numpy(), width).ravel() - 0.5)
        else:
            parts.append((values.numpy() & ((1 << min(width, 62)) - 1)) / 2.0 ** min(width, 62) - 0.5)
    return np.concatenate(parts)


def _bits(values: np.ndarray, width: int) -> np.ndarray:
    return (values[:, None] >> np.arange(width)) & 1
