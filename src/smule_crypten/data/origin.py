"""What the features of a bundle were made of, once a public map has been applied to a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.types import InputShape


@dataclass(frozen=True, eq=False)
class Origin:
    """The data set before the map, and the map.

    Attributes:
        map_digest: of the map, as both parties compare it.
        input_shape: X of the inputs before.
        dtype: of these inputs.
        low, high: the least and the greatest value of the training inputs before.
        content: SHA-256 of the inputs before and of the map: features are computed again with other rounding on another
            machine, this stays.
        mean_F, std_F: constants of the standardisation, (features,) float32.
    """

    map_digest: str
    input_shape: InputShape
    dtype: torch.dtype
    low: float
    high: float
    content: str
    mean_F: torch.Tensor
    std_F: torch.Tensor
