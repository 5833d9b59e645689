"""Two networks' answers as one prediction, class by class: each counts for a class as far as it has seen it.

log p_c = s_c log softmax(own / t_own)_c + (1 - s_c) log softmax(peer / t_peer)_c, up to a constant, with
s_c = n_c / (n_c + m), n_c own labelled samples of class c, and m their mean over the classes: as if the peer had so
many of each, since its counts are its secret.

For a party that hardly sees some classes and is to predict all of them alike. Held-out samples tell nothing of the
classes that it lacks, so they only calibrate: a network that knows nothing of them becomes flat. One weight
for all classes (combination.py), fitted to such samples, keeps to the party's own network, and leaves most of the
peer's knowledge unused (docs/learning.md). Soft labels for a student are another matter: the pool has the same skewed
classes as the held-out samples, and what fits these teaches better (ensemble.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from smule_crypten.tasks.combination import LEAST_FOR_FIT, Combined, calibration


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassShares(Combined):
    """own_share_C: s_c."""

    own_share_C: torch.Tensor

    def predictions(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        own_NC = (own_NC / self.own_temperature).log_softmax(1)
        peer_NC = (peer_NC / self.peer_temperature).log_softmax(1)
        return torch.lerp(peer_NC, own_NC, self.own_share_C).softmax(1)

    def as_plain(self) -> dict[str, Any]:
        return {
            "own_weight": float(self.own_share_C.mean()),
            "own_temperature": self.own_temperature,
            "peer_temperature": self.peer_temperature,
            "num_known": self.num_known,
            "own_weight_by_class": self.own_share_C.tolist(),
        }


def by_class(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, labels_N: torch.Tensor, class_counts_C: torch.Tensor
) -> ClassShares:
    """From both networks' logits on held-out samples; fewer than LEAST_FOR_FIT calibrate nothing.

    Args:
        class_counts_C: own labelled samples of each class.
    """
    calibrated = calibration(own_NC, peer_NC, labels_N) if len(labels_N) >= LEAST_FOR_FIT else {}
    counts_C = class_counts_C.float()
    return ClassShares(own_share_C=counts_C / (counts_C + counts_C.mean()), **calibrated)
