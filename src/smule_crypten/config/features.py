"""The public map that each party applies to its own samples, in the clear, before its network sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from smule_crypten.config.sections import RARE, AttackConfig, AugmentationConfig, DataConfig, Section

DEFAULT_CACHE = "~/.cache/smule_crypten"
_ON_IMAGES = ("backdoor", "trigger_answers")
"""Attacks that stamp a trigger on images."""
_NO_CONSTANTS = {name: DataConfig.model_fields[name].default for name in ("mean", "std")}


class FeaturesConfig(Section):
    """Which map, and what is kept of its results (docs/features.md)."""

    name: Literal["none", "patches", "torchvision", "module"] = "none"
    """A public, frozen map that each party applies to its own samples in the clear: none, patches of two public
    photographs, a network of torchvision with a weights file that both have, or any callable that gives a module."""
    copies: int = Field(default=1, ge=1, le=64, json_schema_extra=RARE)
    """Of each training image so many sets of features, all but the first of the image cropped and flipped as
    training.augmentation says; each batch draws one of them. Queries and tests take the first."""
    cache: str | None = Field(default=DEFAULT_CACHE, json_schema_extra=RARE)
    """Folder in which features are kept, readable by its owner alone, so that a second run does not compute them again;
    null for none. The default lies in XDG_CACHE_HOME where that is set."""
    options: dict[str, Any] = Field(default={}, json_schema_extra=RARE)
    """Options of this map."""

    @property
    def is_on(self) -> bool:
        return self.name != "none"

    @model_validator(mode="after")
    def _nothing_of_no_map(self) -> FeaturesConfig:
        if not self.is_on and (self.copies > 1 or self.options):
            raise ValueError("copies and options belong to a map; choose one, for example features=patches")
        return self

    def check_augmentation(self, augmentation: AugmentationConfig) -> None:
        """Raises ValueError where images would be cropped and flipped after the map, or copies would all be alike."""
        changes = augmentation.crop > 0 or augmentation.flip
        if self.is_on and changes and self.copies == 1:
            raise ValueError(
                f"training.augmentation: images are cropped and flipped before features={self.name}, which needs "
                "copies; set features.copies, for example to 8, or training.augmentation.crop=0 and "
                "training.augmentation.flip=false"
            )
        if self.copies > 1 and not changes:
            raise ValueError(
                f"features.copies={self.copies}: copies differ by crops and flips; set training.augmentation.crop or "
                "training.augmentation.flip, or leave features.copies out"
            )

    def check_attack(self, attack: AttackConfig) -> None:
        """Raises ValueError where a trigger would be stamped on features."""
        if self.is_on and attack.name in _ON_IMAGES:
            raise ValueError(
                f"attack={attack.name}: its trigger is stamped on images, and with features={self.name} networks see "
                "none; set features=none"
            )


def without_constants(values: Any) -> Any:
    """The values of a configuration, with a map without data.mean and data.std, whatever its data set says of them.

    They have no part then, so neither a record nor the other party shall read otherwise.
    """
    if not isinstance(values, Mapping) or not _is_on(values.get("features")):
        return values
    data = values.get("data")
    if isinstance(data, DataConfig):
        return {**values, "data": data.model_copy(update=_NO_CONSTANTS)}
    return {**values, "data": {**data, **_NO_CONSTANTS}} if isinstance(data, Mapping) else values


def _is_on(features: Any) -> bool:
    if isinstance(features, FeaturesConfig):
        return features.is_on
    return isinstance(features, Mapping) and features.get("name", "none") != "none"
