"""What answers gave away in a measurement, so that a budget can be chosen knowingly.

The suite disclosure measures it (benchmarks/results/history/poisoning_intel-xeon-2-cores_20261125.md).
Other data and networks give away more or less: these are no bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What answers tell.

    Attributes:
        fidelity: number of answers -> share of test images for which a network trained on these answers alone names the
            same class.
        membership_auc: of telling training samples of the network from others by one answer each, 1/2 where nothing can
            be told.
    """

    data: str
    fidelity: Mapping[int, float]
    membership_auc: float


_NETWORKS = {"multilabel": "network for several labels", "regression": "regression"}
MEASURED = (
    Measured(data="digits", fidelity={50: 0.721, 200: 0.856, 500: 0.899}, membership_auc=0.564),
    Measured(data="CIFAR-10", fidelity={150: 0.478, 600: 0.654, 2400: 0.771, 8000: 0.793}, membership_auc=0.562),
)


def given_away(num_answers: int, task: str) -> str:
    """By so many answers or, where that was not measured, by the next larger number or the largest one.

    Args:
        task: a TaskName, or what a record has of it; nothing was measured but of classification.
    """
    if task != "classification":
        return f"what answers of a {_NETWORKS.get(task, task)} give away was not measured"
    copies = ", ".join(_copy(measured, num_answers) for measured in MEASURED)
    risks = ", ".join(f"{measured.membership_auc:.2f} on {measured.data}" for measured in MEASURED)
    return (
        f"in measurements a copy trained on the answers agreed with the network in {copies}; one answer told training "
        f"samples from others with AUC {risks}"
    )


def _copy(measured: Measured, num_answers: int) -> str:
    larger = [count for count in measured.fidelity if count >= num_answers]
    count = min(larger, default=max(measured.fidelity))
    return f"{100 * measured.fidelity[count]:.0f} % ({measured.data}, {count} answers)"
