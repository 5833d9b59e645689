"""With what a party trains: how many processes, which precision."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smule_crypten.config.sections import RARE, Section, TrainingConfig

PrecisionName = Literal[32, "bf16-mixed", "16-mixed"]


class ComputeConfig(Section):
    """A party's own hardware (docs/compute.md). The other party learns nothing of it."""

    devices: int = Field(default=1, ge=1, le=1024, json_schema_extra=RARE)
    """Processes on each machine that train a party's network together, each on a GPU of its own with device=cuda. More
    than one needs the extra compute."""
    nodes: int = Field(default=1, ge=1, le=1024, json_schema_extra=RARE)
    """Machines of a party that train together; more than one are started by torchrun or srun. A simulation has one."""
    precision: PrecisionName = Field(default=32, json_schema_extra=RARE)
    """Numbers of training steps: float32 (32), or bfloat16 or float16 where PyTorch's autocast finds them good enough.
    Weights, evaluation and answers stay float32. Others than 32 need the extra compute."""
    compile: bool = Field(default=False, json_schema_extra=RARE)
    """Compile training steps with torch.compile, which pays for long trainings; refused where the network cannot be
    compiled as a whole."""

    @property
    def processes(self) -> int:
        return self.devices * self.nodes


def refuse_together(compute: ComputeConfig, training: TrainingConfig, device: str) -> None:
    """What cannot be computed so.

    Raises:
        ValueError: in words for the user.
    """
    if training.dp is not None and (compute.precision != 32 or compute.compile):
        raise ValueError(
            "training.dp: gradients of single samples are computed in float32, uncompiled; set compute.precision=32 "
            "and compute.compile=false"
        )
    if compute.processes > 1 and device not in ("cpu", "cuda"):
        raise ValueError(
            f"compute.devices: each of {compute.processes} processes takes a device of its own; set device=cuda or "
            f"device=cpu, not {device}"
        )
