"""Material at once, by the names of the one in parts that takes its place."""

from __future__ import annotations

from smule_crypten.comparison.cost import Transfers, relu_cost
from smule_crypten.comparison.material import (
    DataOwnerMaterial,
    ModelOwnerMaterial,
    ReceiverSource,
    SenderSource,
    data_owner_material,
    model_owner_material,
)
from smule_crypten.comparison.widths import Widths


class _Making:
    def __init__(self, widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource) -> None:
        self._arguments = widths, count, sending, receiving
        self.due = relu_cost(count, widths).transfers


class ModelOwnerMaking(_Making):
    material: ModelOwnerMaterial

    def step(self) -> None:
        self.material, self.due = model_owner_material(*self._arguments), Transfers(0, 0)


class DataOwnerMaking(_Making):
    material: DataOwnerMaterial

    def step(self) -> None:
        self.material, self.due = data_owner_material(*self._arguments), Transfers(0, 0)
