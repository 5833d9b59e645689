"""The public map of a checkpoint: what its network's inputs were made by."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import nn

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.sections import Section
from smule_crypten.data.origin import Origin
from smule_crypten.errors import ModelError
from smule_crypten.features.computing import Standardised
from smule_crypten.features.public_map import build_map

_OWN_TARGETS = ("smule_crypten.features.trunk.efficientnet_lite0",)
"""Callables that a file may name: they are this package's."""


class CheckpointFeatures(Section):
    """name and options as in FeaturesConfig; the rest as in Origin."""

    name: str
    options: dict[str, Any]
    input_shape: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1, max_length=3)]
    map_digest: str
    mean: Annotated[tuple[float, ...], Field(strict=False)]
    std: Annotated[tuple[float, ...], Field(strict=False)]

    @classmethod
    def of(cls, config: FeaturesConfig, origin: Origin | None) -> CheckpointFeatures | None:
        """Of a data set that config has made of origin; None where no map was applied."""
        if origin is None:
            return None
        return cls(
            name=config.name,
            options=config.options,
            input_shape=origin.input_shape,
            map_digest=origin.map_digest,
            mean=tuple(origin.mean_F.tolist()),
            std=tuple(origin.std_F.tolist()),
        )

    def network(self, where: str, *, allow_target: bool) -> nn.Module:
        """The map: inputs (N, X) float32, images in 0..1 -> (N, features).

        Args:
            where: which file asks for it.

        Raises:
            ModelError: it calls a target that is not allowed, or is not the map that the network was trained on.
            ConfigError, DataError: as build_map.
        """
        target = self.options.get("_target_")
        if self.name == "module" and not allow_target and target not in _OWN_TARGETS:
            raise ModelError(
                f"{where} asks to call {target!r} to build its public map; if you trust the file, use "
                "load_model(path, allow_target=True)"
            )
        config = FeaturesConfig(name=self.name, options=self.options, cache=None)  # type: ignore[arg-type]
        public_map = build_map(config, self.input_shape)
        if public_map.digest != self.map_digest or len(self.mean) != public_map.num_features:
            raise ModelError(
                f"{where} was trained on features={self.name} of digest {self.map_digest[:16]}, and the one here has "
                f"{public_map.digest[:16]}; use the weights and the versions of the training"
            )
        return Standardised(public_map, torch.tensor(self.mean), torch.tensor(self.std))
