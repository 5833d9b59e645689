"""Soft labels of both parties' knowledge: the peer's answers averaged with those of a party's own finished network.

z = t ((1 - s) z_own / t_own + s z_peer / t_peer) in logits, or in values with all t = 1. Both temperatures and the
peer's share s are fitted on held-out samples of known label (combination.py), as far as the peer has answered about
them; s is then multiplied by the weight of each answer (trust.py). t = t_own^(1 - s) t_peer^s keeps the sharpness of
the network that counts: calibrated soft labels taught less.

Two networks trained on different samples are right more often together than each alone (Z. Allen-Zhu, Y. Li, "Towards
Understanding Ensemble, Knowledge Distillation and Self-Distillation in Deep Learning", ICLR 2023), and its own network
costs no query, so that it can also speak where the peer was not asked.

Samples that both parties have (public_ids) are not of a party's own mixture of classes, as its held-out samples are. By
these a skewed party judges a peer too severely that knows the classes which it lacks, so there the peer speaks alone.

That holds for samples that the party's network was not trained on. About its training samples it knows nothing but
their labels, so there the peer's answer stands alone.

Where the peer's share falls below a quarter, all soft labels count less, down to nothing with it: what would be left is
self-distillation, and that taught less than smoothed labels do (docs/learning.md).
"""

from __future__ import annotations

import torch

from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.combination import Combination, log_probabilities
from smule_crypten.tasks.task import Task
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

PRIOR_SAMPLES = 10
"""A weak own network spoils the soft labels of a strong peer, so little holds the evidence back."""
FULL_STRENGTH_SHARE = 0.25
"""The peer's share from which on soft labels count in full."""
UNASKED = -1
"""The peer's model step of a soft label that the peer has no part in."""


class OwnAnswers:
    """What a party's own finished network says of samples that it was not trained on.

    Args:
        sample_ids, logits_NC: (N,) and (N, C).
    """

    def __init__(self, sample_ids: torch.Tensor, logits_NC: torch.Tensor) -> None:
        order = sample_ids.argsort()
        self._sample_ids, self._logits_NC = sample_ids[order], logits_NC[order]

    def __len__(self) -> int:
        return len(self._sample_ids)

    def of(self, sample_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Which of sample_ids (N,) it knows, as positions (M,), and its logits for these (M, C)."""
        if len(self._sample_ids) == 0:
            return torch.empty(0, dtype=torch.int64), self._logits_NC
        rows = torch.searchsorted(self._sample_ids, sample_ids).clamp_(max=len(self._sample_ids) - 1)
        positions = (self._sample_ids[rows] == sample_ids).nonzero().squeeze(1)
        return positions, self._logits_NC[rows[positions]]


class EnsembleSource:
    """A PredictionSource of the peer's and the party's own answers.

    Args:
        peer: what the peer has answered.
        own: about pool and held-out samples.
        held_out_ids, held_out_targets: of V samples that neither network was trained on.
        balanced: all classes of the held-out samples count the same.
        public_ids: samples of which the peer's answer counts as far as it is trusted, whatever held-out samples say.
    """

    def __init__(
        self,
        peer: TrustedSource,
        own: OwnAnswers,
        held_out_ids: torch.Tensor,
        held_out_targets: torch.Tensor,
        balanced: bool = False,
        task: Task = CLASSIFICATION,
        public_ids: torch.Tensor | None = None,
    ) -> None:
        self._peer = peer
        self._public_ids = torch.empty(0, dtype=torch.int64) if public_ids is None else public_ids
        self._own = own
        self._balanced, self._task = balanced, task
        self._held_out_ids, self._held_out_targets = held_out_ids, held_out_targets
        self._combination = Combination()
        self._own_share: float = self._combination.own_weight

    @property
    def peer_share(self) -> float:
        """s, before the weights of single answers.

        Sharpened towards the network that the evidence prefers: a small part of a much weaker network takes more from
        soft labels than it adds.
        """
        own = self._own_share
        return (1 - own) ** 2 / ((1 - own) ** 2 + own**2)

    def refresh(self) -> None:
        """Fit the combination to all answers on held-out samples."""
        known = self._peer.lookup(self._held_out_ids) if len(self._held_out_ids) else None
        if known is not None:
            _, own_NC = self._own.of(self._held_out_ids[known.positions])
            targets = self._held_out_targets[known.positions]
            self._combination = self._task.fit(
                own_NC, known.logits_NC, targets, prior_samples=PRIOR_SAMPLES, balanced=self._balanced
            )
            self._own_share = self._combination.own_weight
            if self._balanced:
                # The party's network knows nothing of classes without a held-out sample, whatever it says of others.
                self._own_share *= int(targets.bincount().count_nonzero()) / own_NC.shape[1]

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        count = len(sample_ids)
        positions, own_MC = self._own.of(sample_ids)
        logits_NC = torch.zeros(count, own_MC.shape[1])
        weight_N, model_step = torch.zeros(count), torch.full((count,), UNASKED)
        logits_NC[positions] = own_MC
        strength = min(1.0, self.peer_share / FULL_STRENGTH_SHARE)
        weight_N[positions] = strength
        has_own = torch.zeros(count, dtype=torch.bool)
        has_own[positions] = True
        answered = self._peer.lookup(sample_ids)
        if answered is not None:
            asked, trust_M = answered.positions, answered.weights()
            share_M = torch.where(has_own[asked], self.peer_share * trust_M, 1.0)
            logits_NC[asked] = self._averaged(logits_NC[asked], answered.logits_NC, share_M)
            is_public = torch.isin(sample_ids[asked], self._public_ids)
            weighed_M = strength * torch.where(has_own[asked], 1.0, trust_M)
            weight_N[asked] = torch.where(is_public, trust_M, weighed_M)
            model_step[asked] = answered.model_step
        used = weight_N.nonzero().squeeze(1)
        if len(used) == 0:
            return None
        return SoftLabels(
            positions=used, logits_NC=logits_NC[used], model_step=model_step[used], weight_M=weight_N[used]
        )

    def _averaged(self, own_MC: torch.Tensor, peer_MC: torch.Tensor, share_M: torch.Tensor) -> torch.Tensor:
        """A geometric mean of probabilities, or for skewed parties an arithmetic one.

        In the geometric one, what is said of unlikely classes counts when a student learns from it, and an arithmetic
        one would let the less certain network alone say it. But of a class that one network never saw, it must have no
        veto, so that skewed parties take the arithmetic one.
        """
        share_M1 = share_M.unsqueeze(1)
        if self._balanced:
            return log_probabilities((1 - share_M1) * own_MC.softmax(1) + share_M1 * peer_MC.softmax(1))
        own_temperature, peer_temperature = self._combination.own_temperature, self._combination.peer_temperature
        sharpness_M1 = own_temperature ** (1 - share_M1) * peer_temperature**share_M1
        mean_MC = (1 - share_M1) * own_MC / own_temperature + share_M1 * peer_MC / peer_temperature
        return sharpness_M1 * mean_MC
