"""Soft labels of both parties' knowledge: the peer's answers averaged with those of a party's own finished network.

p = (1 - s) softmax(own / t_own) + s softmax(peer / t_peer). Both temperatures and the peer's share s are fitted on
held-out samples of known label (combination.py), as far as the peer has answered about them; s is then multiplied by
the weight of each answer (trust.py). A peer that is worth nothing leaves the own soft labels, which do no harm. Two
networks trained on different samples are right more often together than each alone (Z. Allen-Zhu, Y. Li, "Towards
Understanding Ensemble, Knowledge Distillation and Self-Distillation in Deep Learning", ICLR 2023), and the own network
costs no query, so that it also speaks, with less weight, where the peer was not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.training.combination import Combination, fit, log_probabilities
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

_BY_NOBODY = -1
"""The peer's model step of a soft label that the peer has no part in."""


@dataclass(frozen=True)
class OwnAnswers:
    """What a party's own finished network says of its samples: logits (N, C) for sample ids (N,)."""

    sample_ids: torch.Tensor
    logits_NC: torch.Tensor

    def of(self, sample_ids: torch.Tensor) -> torch.Tensor:
        order = self.sample_ids.argsort()
        rows = torch.searchsorted(self.sample_ids, sample_ids, sorter=order)
        return self.logits_NC[order[rows]]


class EnsembleSource:
    """A PredictionSource of the peer's and the own answers.

    Args:
        peer: what the peer has answered.
        own: about all samples that are looked up, and the held-out ones.
        held_out_ids, held_out_labels: (V,) samples that neither network was trained on.
        unasked_weight: of the own soft labels where the peer was not asked; 0 leaves such samples out.
    """

    def __init__(
        self,
        peer: TrustedSource,
        own: OwnAnswers,
        held_out_ids: torch.Tensor,
        held_out_labels: torch.Tensor,
        unasked_weight: float,
    ) -> None:
        self._peer = peer
        self._own = own
        self._held_out_ids, self._held_out_labels = held_out_ids, held_out_labels
        self._unasked_weight = unasked_weight
        self._combination = Combination()

    @property
    def peer_share(self) -> float:
        """s, before the weights of single answers."""
        return 1 - self._combination.own_weight

    def refresh(self) -> None:
        """Fit the combination to all answers on held-out samples."""
        known = self._peer.lookup(self._held_out_ids) if len(self._held_out_ids) else None
        if known is not None:
            own_NC = self._own.of(self._held_out_ids[known.positions])
            self._combination = fit(own_NC, known.logits_NC, self._held_out_labels[known.positions])

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        own_NC = self._own.of(sample_ids) / self._combination.own_temperature
        weight_N = torch.full((len(sample_ids),), self._unasked_weight)
        model_step = torch.full((len(sample_ids),), _BY_NOBODY)
        answered = self._peer.lookup(sample_ids)
        if answered is not None:
            share_M1 = (self.peer_share * answered.weights()).unsqueeze(1)
            peer_MC = (answered.logits_NC / self._combination.peer_temperature).softmax(1)
            both_MC = (1 - share_M1) * own_NC[answered.positions].softmax(1) + share_M1 * peer_MC
            own_NC[answered.positions] = log_probabilities(both_MC)
            weight_N[answered.positions] = 1.0
            model_step[answered.positions] = answered.model_step
        positions = weight_N.nonzero().squeeze(1)
        if len(positions) == 0:
            return None
        return SoftLabels(
            positions=positions,
            logits_NC=own_NC[positions],
            model_step=model_step[positions],
            weight_M=weight_N[positions],
        )
