"""Soft labels of three teachers: the party's finished network, the peer's answers, and the party's joint head.

z = sum over teachers of w z_i in logits (or values), or for skewed parties (balanced) the logarithm of such a mean of
probabilities, as in ensemble.py. The weights w are a point of a small public grid (WEIGHTS), and the same for both
parties: each computes the loss of every point on its own validation part, as far as the peer has answered about that,
and tells the other one. A party's own teacher is the other one's peer, so the points are matched with both in exchanged
roles; then the point with the least sum is taken. By its own validation part alone a skewed party would judge a teacher
too severely that knows the classes which it lacks.

A peer may tell what it likes. So a party never takes a point that by its own losses is worse by more than MOST_LOST
than the best one in which the peer has no part; between the others, what the peer tells decides.

On samples that a teacher says nothing about, the others speak alone. About its training samples the party's network
knows nothing but their labels; the head was solved from those of both parties and is far too small to know single ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from smule_crypten.tasks.combination import LEAST_FOR_FIT, log_probabilities
from smule_crypten.tasks.task import Task
from smule_crypten.training.ensemble import FULL_STRENGTH_SHARE, UNASKED, OwnAnswers
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

_STEPS = 4
WEIGHTS = torch.tensor(
    [[own, peer, _STEPS - own - peer] for own in range(_STEPS + 1) for peer in range(_STEPS + 1 - own)]
) / float(_STEPS)
"""(points, 3): of the party's own network, the peer and the head; each sums to one."""
NUM_LOSSES = len(WEIGHTS)
_EXCHANGED = (WEIGHTS[:, None, :] == WEIGHTS[None, :, [1, 0, 2]]).all(dim=2).int().argmax(dim=1)
"""The point at which the other party's own network has the weight that its peer has here."""
_AT_FIRST = torch.tensor([0.25, 0.25, 0.5])
"""Where nothing is known yet: on skewed splits the head is by far the best of them, on others it is no worse."""
LARGEST_LOSS = 8.0
"""To which the loss of a sample is cut: one that nothing fits says no more."""
LOSS_STEP = 0.01
"""To whose multiples losses are rounded before they are told."""

MOST_LOST = 0.3
"""What a peer that lies may cost, in own losses. Of honest skewed parties none gave up more than 0.24 on digits."""
_TIE = 4
"""Decimals of sums that are the same: those told have two."""


def mean_of_three(outputs_KNC: torch.Tensor, share_KN1: torch.Tensor, *, balanced: bool) -> torch.Tensor:
    """(N, C): of logits or values, or (balanced) the logarithm of that of probabilities. Shares may have one sample."""
    if balanced:
        return log_probabilities((outputs_KNC.softmax(dim=2) * share_KN1).sum(dim=0))
    return (outputs_KNC * share_KN1).sum(dim=0)


def losses_of_points(outputs_KNC: torch.Tensor, targets: torch.Tensor, task: Task, *, balanced: bool) -> torch.Tensor:
    """(points,): the mean loss of what each of WEIGHTS makes of three teachers' outputs, cut at LARGEST_LOSS."""
    means = (mean_of_three(outputs_KNC, weights.view(3, 1, 1), balanced=balanced) for weights in WEIGHTS)
    losses = (task.sample_losses(mean, targets) for mean in means)
    # A teacher that overflows says nothing, so it is as bad as any.
    return torch.stack([each.nan_to_num(nan=LARGEST_LOSS).clamp(max=LARGEST_LOSS).mean() for each in losses])


def best_point(own: torch.Tensor, peer: torch.Tensor | None) -> torch.Tensor:
    """(3,): the weights of the least sum of both parties' losses, each as its party sees them; or of own losses.

    Only of points within MOST_LOST. In a tie most weight of the head, then own network and peer most alike: up to here
    both parties decide alike. What is left are two points that are each other's mirror: the one of less own loss, then
    that with more weight of the party's own network.
    """
    sum_P = own if peer is None else own + peer[_EXCHANGED]
    within_P = own <= own[WEIGHTS[:, 1] == 0].min() + MOST_LOST

    def order(point: int) -> tuple[float, ...]:
        by_own, by_peer, by_head = WEIGHTS[point].tolist()
        return round(float(sum_P[point]), _TIE), -by_head, abs(by_own - by_peer), float(own[point]), -by_own

    return WEIGHTS[min(within_P.nonzero().squeeze(1).tolist(), key=order)]


class ThreeTeachers:
    """A PredictionSource of the peer's answers, the party's own network's and the head's.

    Args:
        peer: what the peer has answered.
        own: the answers of the party's finished network about pool and held-out samples; None without one.
        head: the head's, about everything.
        held_out_ids, held_out_targets: of V samples that neither network was trained on.
        balanced: whether probabilities are averaged, not logits.
        is_alone: there is no peer; the weights are fitted on own losses alone.
    """

    def __init__(
        self,
        peer: TrustedSource,
        own: OwnAnswers | None,
        head: OwnAnswers,
        held_out_ids: torch.Tensor,
        held_out_targets: torch.Tensor,
        *,
        task: Task,
        balanced: bool = False,
        is_alone: bool = False,
    ) -> None:
        self._peer, self._head = peer, head
        self._own = OwnAnswers(torch.empty(0, dtype=torch.int64), torch.empty(0, 0)) if own is None else own
        self._held_out_ids, self._held_out_targets = held_out_ids, held_out_targets
        self._task, self._balanced, self._is_alone = task, balanced and task.name == "classification", is_alone
        self._weights = _AT_FIRST
        if is_alone:
            self._fit(WEIGHTS[:, 1] > 0)

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of the party's own network, the peer and the head."""
        own, peer, head = self._weights.tolist()
        return own, peer, head

    @property
    def peer_share(self) -> float:
        """The peer's weight, before the weights of single answers."""
        return self.weights[1]

    def refresh(self) -> None:
        """Weights change with the losses of both parties alone."""

    def losses(self) -> list[float]:
        """Of every point, on held-out samples that the peer has answered; empty where these are too few to tell."""
        losses = self._losses()
        return [] if losses is None else [round(round(loss / LOSS_STEP) * LOSS_STEP, 2) for loss in losses.tolist()]

    def hear(self, own: Sequence[float], peer: Sequence[float]) -> None:
        """Take the point that best_point finds by what both parties told; own losses alone where the peer cannot tell.

        It cannot where it asks too little, or not at all (exchange.share_a). Nothing changes where this party cannot.
        """
        if len(own) == NUM_LOSSES:
            self._weights = best_point(torch.tensor(own), torch.tensor(peer) if len(peer) == NUM_LOSSES else None)

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        outputs_KNC, weight_KN, model_step = self._spoken(sample_ids)
        weight_KN = weight_KN * self._weights.unsqueeze(1)
        total_N, others_N = weight_KN.sum(dim=0), weight_KN[1:].sum(dim=0)
        used = (others_N > 0).nonzero().squeeze(1)
        if len(used) == 0:
            return None
        share_KM = weight_KN[:, used] / total_N[used]
        return SoftLabels(
            positions=used,
            logits_NC=mean_of_three(outputs_KNC[:, used], share_KM.unsqueeze(2), balanced=self._balanced),
            model_step=model_step[used],
            weight_M=(others_N[used] / total_N[used] / FULL_STRENGTH_SHARE).clamp(max=1.0),
        )

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self._weights.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._weights = torch.tensor(state["weights"])

    def _spoken(self, sample_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What each teacher says of samples (3, N, C), how far it is trusted (3, N), and the peer's model step (N,)."""
        count = len(sample_ids)
        by_head, said = self._head.of(sample_ids)
        outputs_KNC = torch.zeros(3, count, said.shape[1])
        weight_KN, model_step = torch.zeros(3, count), torch.full((count,), UNASKED)
        outputs_KNC[2, by_head], weight_KN[2, by_head] = said, 1.0
        by_own, said = self._own.of(sample_ids)
        if len(by_own):
            outputs_KNC[0, by_own], weight_KN[0, by_own] = said, 1.0
        answered = self._peer.lookup(sample_ids)
        if answered is not None:
            outputs_KNC[1, answered.positions], weight_KN[1, answered.positions] = (
                answered.logits_NC,
                answered.weights(),
            )
            model_step[answered.positions] = answered.model_step
        return outputs_KNC, weight_KN, model_step

    def _losses(self) -> torch.Tensor | None:
        """(points,): on the held-out samples that all teachers speak of; None where these are too few to tell."""
        if len(self._held_out_ids) == 0:
            return None
        outputs_KNC, weight_KN, _ = self._spoken(self._held_out_ids)
        needed = [teacher for teacher, is_needed in enumerate((True, not self._is_alone, True)) if is_needed]
        known_N = (weight_KN[needed] > 0).all(dim=0)
        if int(known_N.sum()) < LEAST_FOR_FIT:
            return None
        return losses_of_points(
            outputs_KNC[:, known_N], self._held_out_targets[known_N], self._task, balanced=self._balanced
        )

    def _fit(self, forbidden: torch.Tensor) -> None:
        losses = self._losses()
        if losses is not None:
            self._weights = WEIGHTS[int(losses.masked_fill(forbidden, float("inf")).argmin())]
