"""Membership inference by an honest-but-curious party: was this sample in the peer's training data?

The party holds a sample with its label and asks the peer's network about it. A score is high where the network fits
the label well: its negative loss (S. Yeom et al., "Privacy Risk in Machine Learning", 2018), or that less the negative
loss of the party's own network, which takes out what makes a sample easy (L. Watson et al., "On the Importance of
Difficulty Calibration in Membership Inference Attacks", 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score, roc_curve

FALSE_POSITIVES = 0.001


@dataclass(frozen=True, kw_only=True)
class MembershipRisk:
    """How well members are told from others.

    Attributes:
        auc: 1/2 where nothing can be told.
        true_positives: share of the members that are recognized by a threshold that takes at most FALSE_POSITIVES of
            the others for members (N. Carlini et al., "Membership Inference Attacks From First Principles", 2022).
    """

    auc: float
    true_positives: float


def scores(peer_logits_NC: torch.Tensor, labels_N: torch.Tensor, own_logits_NC: torch.Tensor | None) -> torch.Tensor:
    """(N,), higher for those that look like members; own_logits_NC calibrate where they are given."""
    score_N = -F.cross_entropy(peer_logits_NC, labels_N, reduction="none")
    if own_logits_NC is None:
        return score_N
    return score_N + F.cross_entropy(own_logits_NC, labels_N, reduction="none")


def membership_risk(members_N: torch.Tensor, others_M: torch.Tensor) -> MembershipRisk:
    """From the scores of members and of others; at least one each."""
    truth = torch.cat([torch.ones(len(members_N)), torch.zeros(len(others_M))]).numpy()
    values = torch.cat([members_N, others_M]).numpy()
    false_positives, true_positives, _ = roc_curve(truth, values, drop_intermediate=False)
    reached = true_positives[false_positives <= FALSE_POSITIVES].max()
    return MembershipRisk(auc=float(roc_auc_score(truth, values)), true_positives=float(reached))
