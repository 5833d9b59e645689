"""The joint head of a run in this process, in the clear: what the protocol would give to both parties, and its cost.

Nothing is shared: the head is solved exactly from the sums of both parties. What a party gets is as in a run: answers
under normal noise, and what it guesses by them; or the head itself where it is revealed. Costs are those of the
protocols, exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.head_run.own_head import OwnHead, own_head
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.head_run.teaching import head_answers
from smule_crypten.joint_head.estimate import chosen_questions, estimated_head
from smule_crypten.joint_head.head_rows import HeadFeatures, own_statistics
from smule_crypten.joint_head.knowledge import HeadKnowledge
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.learner import Holding, Learner
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, opened_logits

_SEED_OF_NOISE = 1_000_003


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadsInProcess:
    """weights_DC: the joint head, which nobody sees. knowledge, answers: of party a and of party b."""

    sizes: HeadSizes
    features: HeadFeatures
    weights_DC: torch.Tensor
    knowledge: tuple[HeadKnowledge, HeadKnowledge]
    answers: tuple[OwnAnswers, OwnAnswers]


def heads_in_process(run: RunConfig, bundle: DataBundle, learners: tuple[Learner, Learner]) -> HeadsInProcess | None:
    """None without a joint head; raises as own_head."""
    both = [
        own_head(run.party(rank, "."), bundle, learner.holding, task=learner.task, device=learner.device)
        for rank, learner in enumerate(learners)
    ]
    first, second = both
    if first is None or second is None:
        return None
    joint = first.statistics + second.statistics
    weights_DC = exact_head(joint, first.sizes.terms.ridge)
    asked = [min(own.sizes.most_answers, len(own.candidates)) for own in (first, second)]
    a_is_P = first.statistics.rows >= second.statistics.rows
    of_a, of_b = (
        _knowledge(own, weights_DC, joint.rows, rank, asked, learners[rank].seed, is_P=a_is_P == (rank == 0))
        for rank, own in enumerate((first, second))
    )
    answers_a, answers_b = (
        head_answers(known, own.features, learner.holding, run.task)
        for known, own, learner in zip((of_a, of_b), (first, second), learners, strict=True)
    )
    return HeadsInProcess(
        sizes=first.sizes,
        features=first.features,
        weights_DC=weights_DC,
        knowledge=(of_a, of_b),
        answers=(answers_a, answers_b),
    )


def _knowledge(
    own: OwnHead, weights_DC: torch.Tensor, rows: int, rank: int, asked: list[int], seed: int, *, is_P: bool
) -> HeadKnowledge:
    sizes, (count, given) = own.sizes, (asked[rank], asked[1 - rank])
    cost = sizes.solve_cost(is_P=is_P) + sizes.answers_cost(count, given) + sizes.reveal_cost()
    disclosure = Disclosure(query_id=1, to_party=PARTY_NAMES[1 - rank], num_samples=given, model_step=0)
    if not sizes.is_revealed:
        candidates_ND = own.features.rows_of(own.candidates, "own samples")
        generator = torch.Generator().manual_seed(seed)
        rows_ND = candidates_ND[chosen_questions(own.statistics, candidates_ND, count, generator)]
        weights_DC = estimated_head(
            own.statistics,
            rows_ND,
            noisy_answers(rows_ND, weights_DC, sizes, seed + _SEED_OF_NOISE),
            noise=sizes.sigma,
            ridge=sizes.terms.ridge,
            total_rows=rows,
            opening=sizes.opening,
        )
    return HeadKnowledge(
        weights_DC=weights_DC,
        num_answers=count,
        noise=sizes.sigma,
        cost=cost,
        disclosure=disclosure if given else None,
    )


def noisy_answers(rows_ND: torch.Tensor, weights_DC: torch.Tensor, sizes: HeadSizes, seed: int) -> torch.Tensor:
    """What the head answers, (N, C) in units of the targets: under the other party's noise, as it is opened."""
    outputs_NC = rows_ND @ weights_DC
    noise_NC = torch.randn(outputs_NC.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return opened_logits(outputs_NC + sizes.sigma * noise_NC, sizes.opening)


def own_head_answers(
    config: PartyConfig | RunConfig, bundle: DataBundle, learner: Learner, *, with_test: bool = False
) -> OwnAnswers:
    """What a ridge head of the party's own rows alone says of its samples, on the same features; costs nothing.

    with_test: of held-out and test samples in place of all that is learned from.

    Raises:
        SmuleError: as HeadFeatures.
    """
    features, held = HeadFeatures(config, bundle, learner.device), learner.holding
    statistics = own_statistics(features, config.task, held.train, learner.num_classes)
    weights_DC = exact_head(statistics, config.joint_head.ridge)
    known = HeadKnowledge(weights_DC=weights_DC, num_answers=0, noise=0.0, cost=Cost())
    if with_test:
        nothing = held.pool.select(torch.arange(0))
        held = Holding(train=held.test, validation=held.validation, pool=nothing, test=held.test)
    return head_answers(known, features, held, config.task)
