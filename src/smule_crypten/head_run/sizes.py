"""What follows from the terms of a joint head alone: the plans of its solve and of answers, and what they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smule_crypten.config.joint_head import DEVIATION
from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.errors import ConfigError
from smule_crypten.joint_head.asking import AskingPlan, asking_cost
from smule_crypten.joint_head.asking_products import LatticeAsking, check_noise
from smule_crypten.joint_head.cost import solve_cost
from smule_crypten.joint_head.lattice_products import LatticeProducts, least_ridge
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.weight_noise import LEAST
from smule_crypten.types import Cost, LogitOpening

MOST_RIDGE = 2.0
"""Of everything over n: with fewer rows than features, a larger one costs accuracy and the digits of P's matrices."""
WEIGHT_BYTES = 8
"""Of each weight of a share that is revealed: a number of the ring."""


def own_penalty(penalty: float, rows: int) -> float:
    """That of a party's own head of so many rows, which nothing is solved for under sharing."""
    return min(penalty, MOST_RIDGE * rows)


@dataclass(frozen=True, kw_only=True)
class HeadSizes:
    """Public. outputs: C. opening: what answers open."""

    terms: JointHeadTerms
    outputs: int
    opening: LogitOpening

    @property
    def is_revealed(self) -> bool:
        return self.terms.reveal == "both"

    @property
    def sigma(self) -> float:
        """Standard deviation of a party's noise on an output of a row of norm sqrt(D), in units of the targets."""
        own = self.terms.noise * DEVIATION
        return max(own, self._least_sigma) if self.is_revealed else own

    @property
    def _least_sigma(self) -> float:
        """Of anything that is opened."""
        return LEAST * math.sqrt(self.terms.features)

    @property
    def weight_sigma(self) -> float:
        """The same on each weight, which is what it is drawn for."""
        return self.sigma / math.sqrt(self.terms.features)

    @property
    def most_answers(self) -> int:
        """That a party may ask for in a run; none where the weights are revealed, which say more."""
        return 0 if self.is_revealed else self.terms.answers

    @property
    def weights(self) -> int:
        """D * C."""
        return self.terms.features * self.outputs

    def penalty(self, rows: int) -> float:
        """Of the joint head of so many rows: what the terms say, within what numbers and errors of a solve allow."""
        least = least_ridge(self._plan(rows, MOST_RIDGE))
        return own_penalty(max(self.terms.penalty, rows * least), rows)

    def solve_plan(self, rows: int) -> SolvePlan:
        """rows: of both parties; bytes do not depend on them."""
        return self._plan(rows, self.penalty(rows) / rows)

    def _plan(self, rows: int, ridge: float) -> SolvePlan:
        terms = self.terms
        return SolvePlan(
            rows=rows,
            features=terms.features,
            outputs=self.outputs,
            ridge=ridge,
            bound=terms.bound,
            iterations=terms.iterations,
        )

    def asking_plan(self, count: int) -> AskingPlan:
        """All at once."""
        return AskingPlan(
            features=self.terms.features,
            outputs=self.outputs,
            batches=(count,) if count else (),
            opening=self.opening,
        )

    def check_noise(self) -> None:
        """Raises ConfigError where answers bear hardly any noise, or are too many for their lattice."""
        if self.most_answers and self.sigma < self._least_sigma:
            least = math.ceil(self._least_sigma / DEVIATION * 1e4) / 1e4
            raise ConfigError(
                f"joint_head.noise={self.terms.noise:g}: answers would tell the head as it is and how its shares were "
                f"rounded; raise joint_head.noise to {least:g} or more"
            )
        check_noise(self.asking_plan(self.most_answers))

    def solve_cost(self, *, is_P: bool, attempts: int = 1) -> Cost:
        """Of the party whose inverse preconditions, or of the other one."""
        of_P, of_Q = solve_cost(self.solve_plan(1), LatticeProducts, attempts)
        return of_P if is_P else of_Q

    def first_bytes(self, *, is_P: bool) -> int:
        """What it sends in a solve before it has heard anything."""
        return self.solve_cost(is_P=is_P, attempts=0).bytes_sent

    def answers_cost(self, asked: int, answered: int) -> Cost:
        """Of the party that asks for some and answers others, one direction after the other."""
        asking, answering = (asking_cost(self.asking_plan(count), LatticeAsking) for count in (asked, answered))
        return asking.data_owner + answering.model_owner

    def reveal_cost(self) -> Cost:
        """Of either party."""
        each = WEIGHT_BYTES * self.weights
        return Cost(rounds=1, bytes_sent=each, bytes_received=each) if self.is_revealed else Cost()

    @property
    def most_bytes(self) -> int:
        """Of both parties together: a solve of one attempt, all answers that may be asked, and what is revealed."""
        most = self.most_answers
        cost = self.solve_cost(is_P=True) + self.answers_cost(most, most) + self.reveal_cost()
        return cost.bytes_total
