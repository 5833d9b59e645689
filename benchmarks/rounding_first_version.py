"""Scheme lean as it first was: each party drops the low bits of its own share. Kept to show what that gave away.

The roles are today's, on a program whose openings have nothing to round: the shares are truncated before.
"""

from __future__ import annotations

import dataclasses

import torch

from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.model_owner import ModelOwner


def rounded_locally(z: torch.Tensor, own_low: torch.Tensor, fraction: int) -> torch.Tensor:
    """What both parties' floors and 2^fraction - 1 came to: z / 2^fraction, rounded up where D's own low bits are below
    those of z. D knows own_low."""
    return (z >> fraction) + ((z & ((1 << fraction) - 1)) > own_low)


def first_version(program: Program) -> Program:
    """The same program with openings that do not round."""
    return dataclasses.replace(
        program,
        steps=tuple(
            dataclasses.replace(
                step, openings=tuple(dataclasses.replace(opening, fraction=0) for opening in step.openings)
            )
            for step in program.steps
        ),
    )


def truncated_bits(program: Program, step: Step) -> int:
    """What the first version dropped before an opening of this step."""
    return program.steps[step.inputs[0]].fraction if step.kind in ("truncate", "relu") else 0


class FirstModelOwner(ModelOwner):
    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        fraction = truncated_bits(self._program, step)
        return (yield from super()._opening(step, opening, batch, (share + (1 << fraction) - 1) >> fraction))


class FirstDataOwner(DataOwner):
    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        return (yield from super()._opening(step, opening, batch, share >> truncated_bits(self._program, step)))
