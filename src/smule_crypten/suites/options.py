"""What a suite is told: which cases it has. The rest of the configuration is that of a simulation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import MAX_SEED, ModelConfig, Section

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
    run: Literal["no", "steps", "to_the_end"] = "steps"
    """Full training under secret sharing: left out, to the end, or as many steps as are enough to time one."""
    steps: int = Field(default=3, ge=1)
    """How many steps that are."""


class SuiteConfig(Section):
    name: SuiteName
    """Which suite."""
    seeds: tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...] = Field(default=(0,), strict=False, min_length=1)
    """Each seed is a case of its own: split, weights, batches."""
    schemes: tuple[str, ...] = Field(default=("lean", "crypten", "plaintext"), strict=False)
    """Schemes to compare; plaintext is the upper bound that protects nothing."""
    fedavg: bool = True
    """Average the weights of both parties each epoch, too."""
    full_training: FullTrainingOptions = FullTrainingOptions()
    networks: tuple[NetworkChoice, ...] = Field(default=(), strict=False)
    """Of schemes, scaling and link: a list of {model, input_shape, num_classes}."""
    queries: tuple[Positive, ...] = Field(default=(64,), strict=False, min_length=1)
    """Of schemes, scaling and link: images that each party asks about."""
    limit_mb: float | None = Field(default=None, gt=0)
    """Of headline: what an epoch may cost, all in, both directions and the dealer."""


def changed(run: RunConfig, **sections: Any) -> RunConfig:
    """`run` with other sections, validated again.

    Raises:
        ConfigError: they do not go together, such as a scheme that protects nothing without allow_insecure.
    """
    return parse(RunConfig, {**run.model_dump(), **sections})
