"""What the owner of the inputs has in its hands, taken down while it follows the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
from scipy.stats import norm
from torch import nn
from two_party_harness import direction, two_party_config

from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Step
from smule_crypten.lattice import handover
from smule_crypten.lattice.grid import cells_of
from smule_crypten.lattice.ring import errors
from smule_crypten.mpc.packing import signed, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.two_party.data_owner import DataOwner
from smule_crypten.two_party.plan import Activation
from smule_crypten.types import LogitOpening

FALSE_ALARM = 1e-4
"""That a test of a whole view fails by chance; the seeds are fixed, so it fails always or never."""
SHAPE = (1, 4, 4)

Columns = dict[str, torch.Tensor]
"""Name of what is known -> (columns, samples)."""


class SeeingDataOwner(DataOwner):
    """Takes down, of every opening and hand-over of its one micro-batch: what it drops of its share, the bits that it
    keeps below a unit, its share of the result; and the errors of b, which are e and its rounding.

    image_error: those of the network's input, in units of it; the answer is for that other image.
    """

    known: Columns
    errors: list[torch.Tensor]
    image_error: torch.Tensor

    def _note(self, what: str, values: torch.Tensor, bits: int) -> None:
        """values: residues modulo 2^bits, of all samples."""
        rows = signed(values, bits).double().view(self._plan.batches[0], -1).T
        self.known[f"{what} {len(self.known)}"] = rows

    def _rounded(self, activation: Activation, share: Share) -> Share:
        kept, bits = super()._rounded(activation, share), activation.source_bits
        dropped = share.reshape(-1) - (kept << (bits - activation.widths.fine))
        self._note("dropped", dropped, bits)
        self._note("below a unit", kept & ((1 << activation.guard_bits) - 1), 62)
        return kept

    def _rectified(self, activation: Activation, share: Share) -> Talk:
        result = yield from super()._rectified(activation, share)
        self._note("share of the result", result, activation.widths.ring + activation.guard_bits)
        self._note("its low bits", result & ((1 << activation.guard_bits) - 1), 62)
        return result

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        yield from ()
        for number in self._plan.hand_overs_at(position):
            one, bits = self._plan.lattice.hand_overs[number], self._plan.lattice.lattice.modulus_bits
            layout = one.grid.layout(len(share))
            masks = self._batch._masks[number]
            assert masks is not None
            x = cells_of(one.spread.images(share << (one.fraction - self._below(position))), layout)
            exact = masks + (x << (bits - one.ring - one.fraction))
            message = self._batch.hand_over(number, share << (one.fraction - self._below(position)))
            sent = unpack(message, exact.numel(), one.value_bits).view(exact.shape) << (bits - one.value_bits)
            self._post(step, message)
            if one.is_input:
                self.image_error = self._by_sample(number, signed(sent - exact + self.errors[number], bits))
                self.image_error = self.image_error.double() / 2.0 ** (bits - one.ring)
                continue
            self._note("rounding of b", self._by_sample(number, sent - exact), bits)
            self._note("e", self._by_sample(number, self.errors[number]), bits)
        return share

    def _by_sample(self, number: int, cells: torch.Tensor) -> torch.Tensor:
        """From (channels, cells) to (samples, channels * pixels), in the order of the value's own pixels."""
        one, samples = self._plan.lattice.hand_overs[number], self._plan.batches[0]
        found = torch.zeros(one.channels, samples * one.spread.rows.size * one.spread.columns.size).long()
        found[:, one.grid.layout(samples).sources] = cells
        return found.view(one.channels, samples, -1).transpose(0, 1).reshape(samples, -1)


@contextmanager
def seen_errors(owner: SeeingDataOwner) -> Iterator[None]:
    """Takes down e of the hand-overs of one micro-batch: behind that of p, one of pixels and one of padding each."""
    drawn: list[torch.Tensor] = []

    def recorded(local: Stream, size: tuple[int, ...]) -> torch.Tensor:
        drawn.append(errors(local, size))
        owner.errors = drawn[1::2]
        return drawn[-1]

    with mock.patch.object(handover, "errors", recorded):
        yield


@dataclass
class Asked:
    """One sample, asked about again and again: logits (REPEATS, C), and what D knows of each answer."""

    logits_NC: torch.Tensor
    known: Columns
    image_error: torch.Tensor

    def alarms(self) -> set[str]:
        """What goes with a logit, or with what they have in common, more than chance allows."""
        seen = torch.cat([self.logits_NC, self.logits_NC.mean(1, keepdim=True)], dim=1).double().T
        tests = len(seen) * sum(len(columns) for columns in self.known.values())
        limit = norm.isf(FALSE_ALARM / tests / 2) / len(self.logits_NC) ** 0.5
        return {
            name.rsplit(" ", 1)[0]
            for name, columns in self.known.items()
            if np.abs(correlations(columns, seen)).max() > limit
        }


def correlations(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """Between rows."""
    parts = [rows - rows.mean(1, keepdim=True) for rows in (first, second)]
    one, other = (part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in parts)
    found: np.ndarray = (one @ other.T).numpy()
    return found


def ask(
    model: nn.Module,
    repeats: int,
    *,
    seed: int,
    guard_bits: int = 6,
    factor: float = 1.0,
    opening: LogitOpening = "differences",
    **options: int,
) -> Asked:
    """options: of the scheme. factor: by how much the sample is larger than that which the network was fitted to."""
    sample = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    run = direction(
        model.eval(),
        factor * sample.expand(repeats, *SHAPE),
        two_party_config(micro_batch=repeats, **options),
        seed=seed,
        opening=opening,
        calibration_NX=sample,
        guard_bits=guard_bits,
        data_owner_class=SeeingDataOwner,
    )
    owner = run.data_owner
    assert isinstance(owner, SeeingDataOwner)
    owner.known = {}
    with seen_errors(owner):
        logits_NC, _ = run.run()
    return Asked(logits_NC, owner.known, owner.image_error)
