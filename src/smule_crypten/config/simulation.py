"""What a run between hosts has no use for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from smule_crypten.config.sections import Section

ControlName = Literal["label_smoothing", "self_mutual", "self_distillation", "own_head"]


class SimulationConfig(Section):
    """What a run between hosts has no use for."""

    pooled: bool = True
    """Train a network on the data of both parties, as an upper bound."""
    fidelity: bool = True
    """Compare the secure logits with plaintext ones after each exchange."""
    controls: tuple[ControlName, ...] = Field(
        default=("label_smoothing", "self_mutual", "self_distillation"), strict=False
    )
    """Local controls, which train without a peer: how much of a gain is only regularization? Two copies of the network
    teach each other (self_mutual), the finished network teaches (self_distillation), and with it a ridge head of the
    party's rows, on a joint head's features (own_head). Regression leaves label_smoothing out."""

    @model_validator(mode="after")
    def _controls_differ(self) -> SimulationConfig:
        if len(set(self.controls)) < len(self.controls):
            raise ValueError(f"controls: each at most once, got {', '.join(self.controls)}")
        return self
