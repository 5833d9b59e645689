"""What a suite is told: which cases it has. The rest of the configuration is that of a simulation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import MAX_SEED, ModelConfig, Section, parse

SuiteName = Literal["methods", "headline", "schemes", "scaling", "link"]
Positive = Annotated[int, Field(ge=1)]


class NetworkChoice(Section):
    """A network and the images it is applied to; without input_shape (C, H, W), those of the configured data."""

    model: ModelConfig
    input_shape: tuple[Positive, Positive, Positive] | None = Field(default=None, strict=False)
    num_classes: int = Field(default=10, ge=2)

    @property
    def title(self) -> str:
        name = str(self.model.options.get("arch", self.model.name))
        if self.input_shape is None:
            return name
        return f"{name} {'x'.join(map(str, self.input_shape))}, {self.num_classes} classes"


class FullTrainingOptions(Section):
    """Full training under secret sharing: left out, to the end, or as many steps as are enough to time one."""

    run: Literal["no", "steps", "to_the_end"] = "steps"
    steps: int = Field(default=3, ge=1)


class SuiteConfig(Section):
    """seeds: each seed is a case of its own, and seeds split, weights and batches. schemes: those to compare. fedavg:
    whether to average weights as well. networks, queries: of `schemes`, `scaling` and `link`. repeats: exchanges of a
    case that count, after one that warms up. limit_mb: what an epoch may cost all in (headline)."""

    name: SuiteName
    seeds: tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...] = Field(default=(0,), strict=False, min_length=1)
    schemes: tuple[str, ...] = Field(default=("lean", "crypten", "plaintext"), strict=False)
    fedavg: bool = True
    full_training: FullTrainingOptions = FullTrainingOptions()
    networks: tuple[NetworkChoice, ...] = Field(default=(), strict=False)
    queries: tuple[Positive, ...] = Field(default=(64,), strict=False, min_length=1)
    limit_mb: float | None = Field(default=None, gt=0)


def changed(run: RunConfig, **sections: Any) -> RunConfig:
    """run with other sections, validated again.

    Raises:
        ConfigError: they do not go together, such as a scheme that protects nothing without allow_insecure.
    """
    return parse(RunConfig, {**run.model_dump(), **sections})
