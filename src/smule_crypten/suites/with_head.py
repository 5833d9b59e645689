"""What a joint head is worth at prediction, beside networks that have learned with it.

Of each party, and which is which:

- own_head: its own guess of the head, alone. In the clear and its own; costs nothing more.
- with_own_head: its network and that guess together, half and half. Likewise.
- with_noisy_head: its network, its peer's and the joint head under the other party's noise: what it could know at most
  where that is revealed. The weights are those that suit both parties' validation parts together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from smule_crypten.joint_head.knowledge import as_logits, head_logits
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.simulation.joint_head import HeadsInProcess, own_head_answers
from smule_crypten.training.three_teachers import (
    WEIGHTS,
    best_point,
    losses_of_points,
    mean_of_three,
)

Logits = Callable[[nn.Module, torch.Tensor], torch.Tensor]
"""Of a network, for inputs."""
_HALVES = torch.full((2, 1, 1), 0.5)


def head_figures(here: InProcess, models: Sequence[nn.Module], logits: Logits) -> dict[str, Any]:
    """Of the networks of both parties, accuracies 0 to 1; empty without a joint head.

    Beside them joint_head, the accuracy of the exact head alone, what the head cost both parties together in bytes, and
    how many answers each got.
    """
    heads = here.heads
    if heads is None:
        return {}
    balanced, task = here.run.decided_training.is_balanced, here.learners[0].task
    held_out = [_spoken(here, heads, rank, models, logits, is_test=False) for rank in (0, 1)]
    losses = [
        losses_of_points(outputs, learner.holding.validation.targets.cpu(), task, balanced=balanced)
        for outputs, learner in zip(held_out, here.learners, strict=True)
    ]
    test = here.simulated.data.test
    features_NF = heads.features.of(test)
    found: dict[str, Any] = {"own_head": [], "with_own_head": [], "with_noisy_head": [], "head_weights": []}
    for rank in (0, 1):
        weights = best_point(losses[rank], losses[1 - rank])
        spoken = _spoken(here, heads, rank, models, logits, is_test=True)
        guessed = head_logits(heads.knowledge[rank], features_NF, here.run.task)
        halves = mean_of_three(torch.stack([spoken[0], guessed]), _HALVES, balanced=balanced)
        noisy = mean_of_three(spoken, weights.view(3, 1, 1), balanced=balanced)
        for name, said in (("own_head", guessed), ("with_own_head", halves), ("with_noisy_head", noisy)):
            found[name].append(task.accuracy(said, test.targets))
        found["head_weights"].append(weights.tolist())
    exact = as_logits(heads.features.rows_of(test) @ heads.weights_DC, here.run.task)
    return found | {
        "joint_head": task.accuracy(exact, test.targets),
        "head_bytes": heads.knowledge[0].cost.bytes_total,
        "head_asked": [known.num_answers for known in heads.knowledge],
    }


def own_head_figures(here: InProcess, rank: int, model: nn.Module, logits: Logits) -> dict[str, Any]:
    """The control: a network that own teachers taught and a ridge head of own rows, together and apart.

    Fitted on the party's own validation part.
    """
    learner, balanced = here.learners[rank], here.run.decided_training.is_balanced
    said = own_head_answers(here.run, here.simulated.data.bundle, learner, with_test=True)
    spoken = []
    for part in (learner.holding.validation, learner.holding.test):
        _, of_head = said.of(part.sample_ids.cpu())
        network = logits(model, part.inputs).cpu()
        spoken.append(torch.stack([network, torch.zeros_like(network), of_head]))
    task, test = learner.task, learner.holding.test
    losses = losses_of_points(spoken[0], learner.holding.validation.targets.cpu(), task, balanced=balanced)
    weights = best_point(losses.masked_fill(WEIGHTS[:, 1] > 0, float("inf")), None)
    both = mean_of_three(spoken[1], weights.view(3, 1, 1), balanced=balanced)
    return {
        "own_head": task.accuracy(spoken[1][2], test.targets),
        "with_own_head": task.accuracy(both, test.targets),
    }


def _spoken(
    here: InProcess,
    heads: HeadsInProcess,
    rank: int,
    models: Sequence[nn.Module],
    logits: Logits,
    *,
    is_test: bool,
) -> torch.Tensor:
    """(3, N, C): what a party's network, the peer's and the head under noise say of its test or validation part."""
    held = here.learners[rank].holding
    part = held.test if is_test else held.validation
    outputs_NC = heads.features.rows_of(part) @ heads.told_DC[rank]
    networks = [logits(models[which], part.inputs).cpu() for which in (rank, 1 - rank)]
    return torch.stack([*networks, as_logits(outputs_NC, here.run.task)])
