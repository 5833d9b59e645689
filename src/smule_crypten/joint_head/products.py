"""What a solve needs of whoever multiplies: a matrix of one party times a shared value, as shares of the product.

Two ways: dealing.py with a dealer, lattice_products.py without. Sizes are known from the plan alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch

from smule_crypten.errors import ProtocolError
from smule_crypten.joint_head.plan import SolvePlan

MatrixName = Literal["inverse", "probes", "gram"]
"""P's M_P^-1 (D, D) and V (J, D); Q's G_Q (D, D)."""


def rows_of(plan: SolvePlan, name: MatrixName) -> int:
    return plan.probes if name == "probes" else plan.features


class Products(ABC):
    """One party's side. A product's shares have `scale_bits` binary digits more than the integers' product.

    Messages are packed, uint8.
    """

    scale_bits: ClassVar[int]

    def __init__(self, plan: SolvePlan) -> None:
        self._plan = plan

    @abstractmethod
    def mask(self, name: MatrixName, matrix: torch.Tensor) -> torch.Tensor:
        """The owner's message for a matrix, int64 (rows, D), that it multiplies from now on."""

    @abstractmethod
    def receive_mask(self, name: MatrixName, message: torch.Tensor) -> None:
        """The other party's."""

    @abstractmethod
    def message(self, name: MatrixName, share: torch.Tensor) -> torch.Tensor:
        """Hand this party's share of x, int64 (D, C), over to the owner of the matrix: what is sent."""

    @abstractmethod
    def given(self, name: MatrixName) -> torch.Tensor:
        """This party's share (rows, C) of the product that the last message was for; once."""

    @abstractmethod
    def multiply(self, name: MatrixName, share: torch.Tensor, message: torch.Tensor) -> torch.Tensor:
        """The owner's share of the product, from its share of x and the other party's message."""

    @classmethod
    @abstractmethod
    def masked_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        """Of `mask`."""

    @classmethod
    @abstractmethod
    def message_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        """Of `message`."""

    @classmethod
    @abstractmethod
    def dealer_bytes(cls, plan: SolvePlan, name: MatrixName) -> int:
        """What the owner gets of a dealer for one product."""


def check_bytes(message: torch.Tensor, due: int, what: str) -> None:
    """Refuse a message of another length.

    Raises:
        ProtocolError: the parties follow different plans.
    """
    if message.nbytes != due:
        raise ProtocolError(f"{what} came in {message.nbytes} bytes where {due} are due; the parties' plans differ")
