"""What the readers of several kinds of data share: options, and the path that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from pydantic import Field, model_validator

from smule_crypten.config.sections import DataConfig, Section
from smule_crypten.data.arrays import Layout
from smule_crypten.data.own_data import count_classes
from smule_crypten.data.samples import numbered_classes
from smule_crypten.errors import ConfigError, DataError


class NameOptions(Section):
    """What the classes, labels or targets are called, in order of their numbers."""

    class_names: tuple[str, ...] | None = Field(default=None, strict=False)
    """What the classes, labels or targets are called, in order of their numbers, which a peer compares. In a folder of
    images, a named class needs no folder; null takes all folders."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = self.class_names
        if names is not None and (not names or len(set(names)) != len(names) or not all(names)):
            raise ValueError(f"class_names: give different names, in order of the numbers, got {names}")
        return self

    def names(self, targets: torch.Tensor, dataset: str) -> tuple[str, ...]:
        """The given names, or numbers: of the classes up to the highest one, of the labels or targets of a sample.

        Raises:
            DataError: other labels or targets are named than there are; or labels look like no class numbers.
        """
        if targets.dim() == 1:
            return self.class_names or numbered_classes(count_classes(targets, dataset))
        count = targets.shape[1]
        if self.class_names is not None and len(self.class_names) != count:
            raise DataError(
                f"data set {dataset!r}: each sample has {count} labels or targets, data.options.class_names names "
                f"{len(self.class_names)}; name each of them"
            )
        return self.class_names or numbered_classes(count)


class ClassOptions(NameOptions):
    """For files that hold class numbers only: how many classes there are, or what they are called, by number."""

    num_classes: int | None = Field(default=None, ge=2)
    """How many classes there are; null for the highest training label + 1."""

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        names = self.class_names
        if names is not None and self.num_classes not in (None, len(names)):
            raise ValueError(f"num_classes={self.num_classes}, but class_names has {len(names)}; leave num_classes out")
        return self

    def names(self, targets: torch.Tensor, dataset: str) -> tuple[str, ...]:
        """As NameOptions; num_classes says how many classes there are."""
        if targets.dim() > 1 and self.num_classes is not None:
            raise ConfigError(
                "data.options.num_classes: has no effect on several labels or targets per sample; leave it out"
            )
        if self.num_classes is None or self.class_names is not None:
            return super().names(targets, dataset)
        return numbered_classes(self.num_classes)


class LayoutOptions(Section):
    layout: Layout | None = None
    """Order of the axes of the images; null for NCHW, where a shape that speaks for NHWC is refused."""


def path_of(config: DataConfig, what: str) -> Path:
    if config.path is None:
        raise ConfigError(f"data.path: data set {config.name!r} needs it; set data.path to {what}")
    return Path(config.path).expanduser()
