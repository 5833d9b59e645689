"""What a party is willing to disclose of a joint head: in the ledger, by a limit of its own.

A head answers from a share of weights that follow from the rows of both parties. `joint_head.answers`, which both
parties agreed on, counts what the peer gets of all heads together: this run's, and those of other runs in the ledger,
attempts that were cut off with them. Within a run `disclosure.repeats` says how many more attempts there may be, each
of as many answers: their noise is fresh, so a peer that hangs up can average over them.

The numbers that the check of a solve opens, and the weights if they are revealed, are entered, too. They have no limit
of answers; a run has one solve, and as many more as its repeats allow. Weights are revealed of one solve alone.
"""

from __future__ import annotations

from smule_crypten.errors import BudgetError
from smule_crypten.mutual_learning.disclosures import EntryKind
from smule_crypten.mutual_learning.kept_ledger import KeptLedger
from smule_crypten.types import Disclosure

_SOLVE = 1
"""In place of the number of an exchange."""


class HeadBudget:
    """Charges before anything is computed, as QueryBudget, in a ledger that was entered.

    Args:
        to_party: the peer's name.
        answers: the most that it gets in all.
        repeats: further attempts of this run after one that was cut off.
    """

    def __init__(self, ledger: KeptLedger, to_party: str, *, answers: int, repeats: int) -> None:
        self._ledger, self._to_party = ledger, to_party
        self._answers, self._repeats = answers, repeats

    def charge_answers(self, count: int, solve: str) -> None:
        """Enter an attempt at so many answers of this solve.

        Raises:
            BudgetError: the peer asks for more than it may have; nothing is entered.
            OutputError: the ledger cannot be written; nothing may be disclosed.
        """
        if count == 0:
            return
        self.check_answers(count)
        self._enter("joint_head", count, solve, self._attempts)

    def check_answers(self, count: int) -> None:
        """Raises BudgetError where the peer asks for more than it may have, or too often."""
        if count > self.left:
            raise BudgetError(
                f"party {self._to_party} asks for {count} answers of the joint head, "
                f"joint_head.answers={self._answers} leaves {self.left}; both may raise it to "
                f"{self.answered_before + count}"
            )
        if count:
            self._check_repeats(self._attempts)

    def check_solve(self) -> None:
        """Raises BudgetError where this run has had as many solves as its repeats allow."""
        self._check_repeats(len(self._solves))

    def charge_check(self, count: int, solve: str) -> None:
        """Enter the numbers that the check of a solve opens, once an attempt of its iteration.

        Raises:
            BudgetError: the run was cut off in too many solves.
            OutputError: as charge_answers.
        """
        self._enter("joint_head_check", count, solve, len(self._solves - {solve}))

    def check_weights(self) -> None:
        """Before another solve: two heads show the rows that they differ by, and each more equations of own sums.

        Raises:
            BudgetError: the peer saw the weights of one, of this run or another.
        """
        if self._ledger.of_this_run("joint_head_weights"):
            raise BudgetError(
                f"the weights of this run's joint head were revealed to party {self._to_party}, and no second one is "
                "solved; restore states/joint_head.pt at both parties, or set joint_head.reveal=nobody for a new run"
            )
        if self._ledger.of_other_runs("joint_head_weights"):
            raise BudgetError(
                f"the weights of a joint head were revealed to party {self._to_party} in another run, and two heads "
                "show the rows that they differ by; set joint_head.reveal=nobody, or, if a tenth of the rows changed, "
                "disclosure.ledger to a new file"
            )

    def charge_weights(self, count: int, solve: str) -> None:
        """Enter that so many weights of this solve are revealed; once, since the same numbers are sent again.

        Raises:
            BudgetError: as check_weights.
            OutputError: as charge_answers.
        """
        if all(entry.about != solve for entry in self._ledger.of_this_run("joint_head_weights")):
            self.check_weights()
            self._enter("joint_head_weights", count, solve, 0)

    @property
    def left(self) -> int:
        """Answers that the peer may still have, as other runs have left it."""
        return max(0, self._answers - self.answered_before)

    @property
    def answered(self) -> int:
        """By this run, all attempts together."""
        return sum(entry.num_samples for entry in self._ledger.of_this_run("joint_head"))

    @property
    def answered_before(self) -> int:
        """By other runs."""
        return sum(entry.num_samples for entry in self._ledger.of_other_runs("joint_head"))

    @property
    def _attempts(self) -> int:
        """At answers, in this run."""
        return len(self._ledger.of_this_run("joint_head"))

    @property
    def _solves(self) -> set[str | None]:
        """Of this run, as far as they came to their check."""
        return {entry.about for entry in self._ledger.of_this_run("joint_head_check")}

    def _check_repeats(self, attempts: int) -> None:
        """attempts: before the one to come."""
        if attempts > self._repeats:
            raise BudgetError(
                f"the joint head was attempted {attempts} times in this run, and disclosure.repeats={self._repeats} "
                f"are used; set it to {attempts}, if you know why"
            )

    def _enter(self, kind: EntryKind, count: int, solve: str, attempts: int) -> None:
        """attempts: before this one."""
        self._check_repeats(attempts)
        disclosure = Disclosure(query_id=_SOLVE, to_party=self._to_party, num_samples=count, model_step=0)
        self._ledger.enter(disclosure, kind, attempts + 1, about=solve)
