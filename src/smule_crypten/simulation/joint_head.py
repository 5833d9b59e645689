"""The joint head of a run in this process, in the clear: what the protocol would give to both parties, and its cost.

Nothing is shared: the head is solved exactly from the sums of both parties. What a party gets is as in a run, of the
head under the other one's noise, which is drawn once: answers, and what it guesses by them; or its weights where they
are revealed. Costs are those of the protocols, exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.head_run.judging import Judged
from smule_crypten.head_run.own_head import OwnHead, own_head
from smule_crypten.head_run.revealing import check_penalty
from smule_crypten.head_run.sizes import HeadSizes, own_penalty
from smule_crypten.head_run.teaching import head_answers
from smule_crypten.head_run.terms import head_penalty
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.head_rows import HeadFeatures, own_statistics
from smule_crypten.joint_head.knowledge import HeadKnowledge
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.learner import Holding, Learner
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, opened_logits

_SEED_OF_NOISE, _SEED_OF_ANSWERS = 1_000_003, 2_000_003


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadsInProcess:
    """weights_DC: the joint head, which nobody sees. told_DC, knowledge, judged: of party a and of party b.

    told_DC: the head under the other one's noise, which is all that a party can learn of it.
    """

    sizes: HeadSizes
    features: HeadFeatures
    weights_DC: torch.Tensor
    told_DC: tuple[torch.Tensor, torch.Tensor]
    knowledge: tuple[HeadKnowledge, HeadKnowledge]
    judged: tuple[Judged, Judged]


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
    penalty = first.sizes.penalty(joint.rows)
    if first.sizes.is_revealed:
        check_penalty(penalty, joint.features)
    weights_DC = exact_head(joint, penalty)
    asked = [min(own.sizes.most_answers, len(own.candidates)) for own in (first, second)]
    a_is_P = first.statistics.rows >= second.statistics.rows
    by_a, by_b = (weights_DC + _noise_of(weights_DC, first.sizes, learner.seed) for learner in learners)
    of_a, of_b = (
        _knowledge(own, told_DC, joint.rows, rank, asked, learners[rank].seed, is_P=a_is_P == (rank == 0))
        for rank, (own, told_DC) in enumerate(((first, by_b), (second, by_a)))
    )
    judged_a, judged_b = (
        own.judged(known, run.task, learner.training.alarm)
        for known, own, learner in zip((of_a, of_b), (first, second), learners, strict=True)
    )
    return HeadsInProcess(
        sizes=first.sizes,
        features=first.features,
        weights_DC=weights_DC,
        told_DC=(by_b, by_a),
        knowledge=(of_a, of_b),
        judged=(judged_a, judged_b),
    )


def _knowledge(
    own: OwnHead, told_DC: torch.Tensor, rows: int, rank: int, asked: list[int], seed: int, *, is_P: bool
) -> HeadKnowledge:
    sizes, (count, given) = own.sizes, (asked[rank], asked[1 - rank])
    cost = sizes.solve_cost(is_P=is_P) + sizes.answers_cost(count, given) + sizes.reveal_cost()
    disclosure = Disclosure(query_id=1, to_party=PARTY_NAMES[1 - rank], num_samples=given, model_step=0)
    weights_DC = told_DC
    if not sizes.is_revealed:
        rows_ND = own.questions(seed).rows_ND
        weights_DC = own.estimate(rows_ND, answers_of(rows_ND, told_DC, sizes, seed + _SEED_OF_ANSWERS), rows)
    return HeadKnowledge(
        weights_DC=weights_DC,
        num_answers=count,
        noise=sizes.sigma,
        cost=cost,
        disclosure=disclosure if given else None,
    )


def answers_of(rows_ND: torch.Tensor, told_DC: torch.Tensor, sizes: HeadSizes, seed: int) -> torch.Tensor:
    """What the head under noise answers, (N, C) in units of the targets, as it is opened; seed: of the flooding."""
    outputs_NC = rows_ND @ told_DC
    return opened_logits(outputs_NC + FLOODING * _normal(outputs_NC, seed), sizes.opening)


def _noise_of(weights_DC: torch.Tensor, sizes: HeadSizes, seed: int) -> torch.Tensor:
    """That of the party of this seed, on each weight, once."""
    return sizes.weight_sigma * _normal(weights_DC, seed + _SEED_OF_NOISE)


def _normal(like: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
    penalty = own_penalty(head_penalty(config, statistics.features), statistics.rows)
    weights_DC = exact_head(statistics, penalty)
    known = HeadKnowledge(weights_DC=weights_DC, num_answers=0, noise=0.0, cost=Cost())
    if with_test:
        nothing = held.pool.select(torch.arange(0))
        held = Holding(train=held.test, validation=held.validation, pool=nothing, test=held.test)
    return head_answers(known, features, held, config.task)
