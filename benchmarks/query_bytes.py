"""What a query costs all in, exactly, from the architecture of the network that answers: nothing is run."""

from __future__ import annotations

from dataclasses import dataclass

from smule_crypten.comparison.cost import relu_cost
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.inference.lean.cost import weight_bytes
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import micro_batches
from smule_crypten.models.architecture import Architecture, num_elements
from smule_crypten.oblivious.parameters import STANDARD
from smule_crypten.two_party.plan import plan_direction

WEIGHTS_ANSWER = 200
"""Queries of one direction between two sets of weights."""


@dataclass(frozen=True, kw_only=True)
class QueryBytes:
    """Of one query, both ways of the link. ahead: iterations of silent transfers, by what a query takes of them.

    weights: what is sent once a set of weights, all of it.
    """

    online: float
    dealt: float
    ahead: float
    weights: int

    @property
    def all_in(self) -> float:
        """With WEIGHTS_ANSWER queries a set of weights; what is sent once a run is apart."""
        return self.online + self.dealt + self.ahead + self.weights / WEIGHTS_ANSWER


def query_bytes(architecture: Architecture, config: SchemeConfig, queries: int) -> QueryBytes:
    """Of so many queries in one direction, by scheme lean or two_party."""
    cost = scheme_class(config.name).cost_of(architecture, queries, config, dealt=config.name == "lean")
    weights = bytes_of_weights(architecture, config, queries)
    return QueryBytes(
        online=(cost.data_owner.bytes_total - weights) / queries,
        dealt=(cost.data_owner.dealer_bytes + cost.model_owner.dealer_bytes) / queries,
        ahead=ahead_bytes(architecture, config, queries) / queries,
        weights=weights,
    )


def ahead_bytes(architecture: Architecture, config: SchemeConfig, queries: int) -> float:
    """Of iterations of silent transfers, by what so many queries in one direction take of them."""
    if config.name != "two_party":
        return 0.0
    plan = plan_direction(architecture, micro_batches(queries, config), config)
    costs = [relu_cost(size * one.opening.elements, one.widths) for size in plan.batches for one in plan.activations]
    return sum(sum(cost.transfers) for cost in costs) / STANDARD.transfers * STANDARD.main.message_bytes


def bytes_of_weights(architecture: Architecture, config: SchemeConfig, queries: int) -> int:
    """What one direction sends because of weights: crypten in each micro-batch and both ways, others once."""
    if config.name == "lean":
        return weight_bytes(lower(architecture, config))
    if config.name == "two_party":
        return 1 + plan_direction(architecture, micro_batches(queries, config), config).lattice.weight_bytes
    weights = sum(num_elements(op.weight_shape) for op in architecture.ops if hasattr(op, "weight_shape"))
    return 2 * 8 * weights * len(micro_batches(queries, config))
