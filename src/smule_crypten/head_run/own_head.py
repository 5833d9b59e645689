"""The joint head of a party in its own process: own sums and questions before, what it knows of the head after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import AlarmName
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import ConfigError
from smule_crypten.head_run.driver import HeadDriver, Questions
from smule_crypten.head_run.judging import Judged, judged
from smule_crypten.head_run.revealing import check_classes, check_penalty, check_rows
from smule_crypten.head_run.sizes import HeadSizes, own_penalty
from smule_crypten.head_run.state import HEAD_FILE, HeadState, HeadStore
from smule_crypten.head_run.terms import head_sizes
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.estimate import chosen_questions, estimated_head
from smule_crypten.joint_head.head_rows import HeadFeatures, own_statistics
from smule_crypten.joint_head.knowledge import HeadKnowledge
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.metric_names import TaskName
from smule_crypten.mutual_learning.head_budget import HeadBudget
from smule_crypten.mutual_learning.kept_ledger import KeptLedger
from smule_crypten.report.records import HeadRecord
from smule_crypten.tasks.task import Task
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.learner import Holding
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnHead:
    """What a party brings to the joint head. held: its samples."""

    sizes: HeadSizes
    features: HeadFeatures
    statistics: Statistics
    held: Holding

    @property
    def candidates(self) -> Samples:
        """Own samples that it may ask about; by those of the validation part it is judged."""
        return self.held.train.without_copies().with_others(self.held.pool)

    def questions(self, seed: int) -> Questions:
        """As many as the party may ask; the same ones in every attempt at a run."""
        candidates, generator = self.candidates, torch.Generator().manual_seed(seed)
        positions = chosen_questions(len(candidates), self.sizes.most_answers, generator)
        if candidates.is_in_memory:  # all together, as the statistics were made: features are there already
            return Questions(rows_ND=self.features.rows_of(candidates, "own samples")[positions], positions=positions)
        rows_ND = self.features.rows_of(candidates.select(positions), "own samples")
        return Questions(rows_ND=rows_ND, positions=positions)

    def estimate(self, rows_ND: torch.Tensor, answers_NC: torch.Tensor, total_rows: int) -> torch.Tensor:
        """Of the head's weights (D, C), by answers about these rows; total_rows are those of both parties."""
        return estimated_head(
            self.statistics,
            rows_ND,
            answers_NC,
            noise=FLOODING,
            weight_noise=self.sizes.weight_sigma,
            penalty=self.sizes.penalty(total_rows),
            opening=self.sizes.opening,
        )

    def judged(self, knowledge: HeadKnowledge, task: TaskName, alarm: AlarmName) -> Judged:
        """As judging.py."""
        return judged(
            knowledge,
            self.features,
            self.statistics,
            self.held,
            task=task,
            penalty=own_penalty(self.sizes.terms.penalty, self.statistics.rows),
            alarm=alarm,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadOfRun:
    """knowledge: in the clear, this party's own. record: what it tells of the head in its files.

    answers: what its knowledge says of all own samples but those for testing, and of public ones; nothing where the
        head is left out as a teacher (judging.py).
    """

    knowledge: HeadKnowledge
    record: HeadRecord
    answers: OwnAnswers


def own_head(
    config: PartyConfig, bundle: DataBundle, held: Holding, *, task: Task, device: torch.device
) -> OwnHead | None:
    """None without a joint head. All that is wrong on this side alone is found here.

    Args:
        held: this party's samples.
        device: where the map of features is applied.

    Raises:
        ConfigError: nothing may be asked, or answers or revealed weights hide too little; as HeadFeatures.
        DataError: rows are too few to reveal weights that follow from them; as HeadFeatures.of.
        ModelError, OutputError: as HeadFeatures.
    """
    sizes = head_sizes(config, bundle)
    if sizes is None:
        return None
    if not (sizes.is_revealed or sizes.most_answers):
        raise ConfigError("joint_head.answers=0: nothing is learned of a head that is not asked; set joint_head=none")
    sizes.check_noise()
    features, num_outputs = HeadFeatures(config, bundle, device), bundle.num_classes
    if sizes.is_revealed:
        check_penalty(sizes.terms.penalty, sizes.terms.features)
        check_rows(
            len(held.train), f"party {config.name}", is_small_accepted=sizes.terms.reveal_small, noise=sizes.terms.noise
        )
        check_classes(task.class_counts(held.train.targets, num_outputs).tolist())
    return OwnHead(
        sizes=sizes,
        features=features,
        statistics=own_statistics(features, config.task, held.train, num_outputs),
        held=held,
    )


def joint_head(
    own: OwnHead,
    config: PartyConfig,
    scheme: SecureInferenceScheme,
    ledger: KeptLedger,
    *,
    folder: Path,
    seed: int,
    say: Callable[[str], None],
) -> HeadOfRun:
    """Solve it with the peer, ask and answer, and estimate it.

    Args:
        folder: of the party's states.
        seed: of the choice of what is asked.

    Raises:
        SmuleError: as HeadDriver.run.
    """
    sizes, peer = own.sizes, PARTY_NAMES[1 - config.rank]
    budget = HeadBudget(ledger, peer, answers=sizes.terms.answers, repeats=config.disclosure.repeats)
    driver = HeadDriver(
        scheme,
        sizes,
        own.statistics,
        own.questions(seed),
        budget=budget,
        store=HeadStore(folder / HEAD_FILE, sizes.terms, f"run {ledger.run}"),
        say=say,
    )
    state = driver.run()
    given = budget.answered
    disclosure = Disclosure(query_id=1, to_party=peer, num_samples=given, model_step=0) if given else None
    weights_DC = state.weights_DC if sizes.is_revealed else _estimate(own, state)
    assert weights_DC is not None
    asked = 0 if state.asked is None else len(state.asked)
    knowledge = HeadKnowledge(
        weights_DC=weights_DC,
        num_answers=asked,
        noise=sizes.sigma,
        cost=Cost(**state.solve_cost) + Cost(**state.opening_cost),
        disclosure=disclosure,
    )
    of_head = own.judged(knowledge, config.task, config.training.alarm)
    if of_head.text is not None:
        say(f"party {config.name}, joint head: {of_head.text}")
    record = _record(sizes, state, budget, asked)
    return HeadOfRun(
        knowledge=knowledge,
        record=record.model_copy(update={"advantage": of_head.advantage, "is_left_out": of_head.is_left_out}),
        answers=of_head.answers,
    )


def _estimate(own: OwnHead, state: HeadState) -> torch.Tensor:
    assert state.asked is not None
    assert state.answers_NC is not None
    rows_ND = own.features.rows_of(own.candidates.select(state.asked), "own samples")
    return own.estimate(rows_ND, state.answers_NC, sum(state.rows))


def _record(sizes: HeadSizes, state: HeadState, budget: HeadBudget, asked: int) -> HeadRecord:
    of_solve, of_opening = Cost(**state.solve_cost), Cost(**state.opening_cost)
    terms = sizes.terms
    return HeadRecord(
        features=terms.features,
        rows=dict(zip(PARTY_NAMES, state.rows, strict=True)),
        attempts=state.attempts,
        solve_bytes=of_solve.bytes_total,
        opening_bytes=of_opening.bytes_total,
        rounds=of_solve.rounds + of_opening.rounds,
        answers_got=asked,
        answers_given=budget.answered,
        answers_before=budget.answered_before,
        answers_limit=terms.answers,
        noise=sizes.sigma,
        is_revealed=sizes.is_revealed,
    )
