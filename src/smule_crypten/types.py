"""The central types, shared by all floors.

Shape legend: N samples, C outputs of a network (classes, labels, targets), X the 1 to 3 axes of one input: (features,),
(channels, time) or (channels, height, width). Sample ids are int64 and stable: the index of the sample in
the party's whole data set, whatever the split.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    # Imported late: configuration and --help need none of it, and it takes seconds.
    import torch

Adversary = Literal["none", "semi-honest"]

InputShape = tuple[int, ...]
"""X: the 1 to 3 axes of one input."""

LogitOpening = Literal["differences", "values"]
"""What the owner of the samples learns of a network's outputs: the differences between those of a sample, of which a
softmax makes classes, or each value itself, as labels of their own (sigmoids) and regression need."""

PARTY_NAMES = ("a", "b")
DEALER = "the dealer"
"""Names of rank 0 and rank 1 in files, tables and configuration keys."""
OTHER_PARTY = dict(zip(PARTY_NAMES, reversed(PARTY_NAMES), strict=True))
"""Name of a party -> name of its peer."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an operation costs one party. Bytes are payload on the wire, rounds are sequential messages.

    dealer_bytes are bytes received from the dealer; they are in neither of the other two counts.
    """

    rounds: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    dealer_bytes: int = 0
    offline_seconds: float = 0.0
    online_seconds: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def bytes_total(self) -> int:
        """Both directions of the link between the parties, the dealer apart."""
        return self.bytes_sent + self.bytes_received

    def __add__(self, other: Cost) -> Cost:
        """The peak of memory is the higher one."""
        peak = max(self.peak_memory_bytes, other.peak_memory_bytes)
        return self._combined(operator.add, other, peak_memory_bytes=peak)

    def __sub__(self, earlier: Cost) -> Cost:
        """What was added since; the peak of memory is that of the whole time."""
        return self._combined(operator.sub, earlier, peak_memory_bytes=self.peak_memory_bytes)

    def _combined(self, how: Callable[[float, float], float], other: Cost, *, peak_memory_bytes: int) -> Cost:
        counts: dict[str, Any] = {name: how(value, getattr(other, name)) for name, value in vars(self).items()}
        return Cost(**counts | {"peak_memory_bytes": peak_memory_bytes})


@dataclass(frozen=True, kw_only=True)
class DirectionCost:
    """What one direction of an exchange costs each side."""

    data_owner: Cost
    model_owner: Cost

    def __add__(self, other: DirectionCost) -> DirectionCost:
        return DirectionCost(
            data_owner=self.data_owner + other.data_owner, model_owner=self.model_owner + other.model_owner
        )


@dataclass(frozen=True, kw_only=True)
class InferenceQuery:
    """A request to evaluate the model owner's network on the data owner's inputs.

    sample_ids (N,) and inputs_NX are present at the data owner only.
    """

    query_id: int
    model_owner: int
    data_owner: int
    num_samples: int
    model_step: int
    sample_ids: torch.Tensor | None = None
    inputs: torch.Tensor | None = None


def centred(logits_NC: torch.Tensor) -> torch.Tensor:
    """Logits less their mean over the classes: softmax does not see the difference."""
    return logits_NC - logits_NC.mean(dim=1, keepdim=True)


def opened_logits(logits_NC: torch.Tensor, opening: LogitOpening) -> torch.Tensor:
    """What is opened of logits (N, C): all of them, or what is left less their mean over the classes."""
    return centred(logits_NC) if opening == "differences" else logits_NC


@dataclass(frozen=True, kw_only=True)
class PeerPrediction:
    """The opened answer to a query. Exists only at the data owner.

    logits_NC (N, C) hold what the scheme opens, noise included. With opening "differences" they are centred: what is
    common to the classes of a sample stays with the model owner. With "values" they are the network's outputs
    themselves, C may be 1. cost is what the whole exchange, both directions, cost this party.
    """

    query_id: int
    sample_ids: torch.Tensor
    logits_NC: torch.Tensor
    model_step: int
    scheme: str
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Disclosure:
    """One entry of a model owner's ledger: what its model answered."""

    query_id: int
    to_party: str
    num_samples: int
    model_step: int


@dataclass(frozen=True, kw_only=True)
class SoftLabels:
    """Peer logits for M of the asked samples.

    Attributes:
        positions: (M,) int64, indices into the asked ids.
        logits_NC: (M, C) float32.
        model_step: (M,) int64, the optimizer step of the peer's network that answered.
        weight_M: (M,), 0 to 1, how much each is trusted; None stands for 1.

    Example:
        >>> import torch, smule_crypten as smule
        >>> logits = torch.tensor([[2.0, -2.0]])
        >>> soft = smule.SoftLabels(positions=torch.tensor([3]), logits_NC=logits, model_step=torch.tensor([0]))
        >>> soft.weights()
        tensor([1.])
    """

    positions: torch.Tensor
    logits_NC: torch.Tensor
    model_step: torch.Tensor
    weight_M: torch.Tensor | None = None

    def weights(self) -> torch.Tensor:
        import torch

        return torch.ones(len(self.positions)) if self.weight_M is None else self.weight_M


class PredictionSource(Protocol):
    """Where a trainer finds soft labels: any object with this method. Sample ids in, predictions or nothing out.

    Example:
        >>> import torch, smule_crypten as smule
        >>> class AlwaysTheFirstClass:
        ...     def lookup(self, sample_ids):
        ...         count = len(sample_ids)
        ...         logits = torch.tensor([[1.0, -1.0]]).repeat(count, 1)
        ...         steps = torch.zeros(count, dtype=torch.int64)
        ...         return smule.SoftLabels(positions=torch.arange(count), logits_NC=logits, model_step=steps)
        >>> source: smule.PredictionSource = AlwaysTheFirstClass()
        >>> source.lookup(torch.tensor([7, 9])).logits_NC.shape
        torch.Size([2, 2])
    """

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        """Return what is known of sample_ids (N,), or None where nothing is."""
        ...
