"""What a party is willing to disclose of a joint head: in the ledger, by a limit of its own.

A head answers from a share of weights that follow from the rows of both parties. `joint_head.answers`, which both
parties agreed on, counts what the peer gets of all heads together: this run's, and those of other runs in the ledger.
An attempt that was cut off counts, and `disclosure.repeats` says how many more this run may have.

The numbers that the check of a solve opens, and the weights if they are revealed, are entered, too. They have no limit
of answers; a run has one solve, and as many more as its repeats allow.
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
        self._enter("joint_head", count, solve, len(self._ledger.of_this_run("joint_head")))

    def check_answers(self, count: int) -> None:
        """Raises BudgetError where the peer asks for more than it may have."""
        before = self.answered_before
        if before + count > self._answers:
            raise BudgetError(
                f"party {self._to_party} asks for {count} answers of the joint head, "
                f"joint_head.answers={self._answers} leaves {max(0, self._answers - before)}; both may raise it to "
                f"{before + count}"
            )

    def charge_check(self, count: int, solve: str) -> None:
        """Enter the numbers that the check of a solve opens, once an attempt of its iteration.

        Raises:
            BudgetError: the run was cut off in too many solves.
            OutputError: as charge_answers.
        """
        solves = {entry.about for entry in self._ledger.of_this_run("joint_head_check")} - {solve}
        self._enter("joint_head_check", count, solve, len(solves))

    def check_weights(self) -> None:
        """Raises BudgetError where the peer saw those of another run: two heads show the rows that they differ by."""
        if self._ledger.of_other_runs("joint_head_weights"):
            raise BudgetError(
                f"the weights of a joint head were revealed to party {self._to_party} in another run, and two heads "
                "show the rows that they differ by; set joint_head.reveal=nobody, or, if a tenth of the rows changed, "
                "disclosure.ledger to a new file"
            )

    def charge_weights(self, count: int, solve: str) -> None:
        """Enter that so many weights of this solve are revealed; once, since the same numbers are sent again.

        Raises:
            OutputError: as charge_answers.
        """
        revealed = self._ledger.of_this_run("joint_head_weights")
        if all(entry.about != solve for entry in revealed):
            self._enter("joint_head_weights", count, solve, len(revealed))

    @property
    def answered(self) -> int:
        """By this run, all attempts together."""
        return sum(entry.num_samples for entry in self._ledger.of_this_run("joint_head"))

    @property
    def answered_before(self) -> int:
        """By other runs."""
        return sum(entry.num_samples for entry in self._ledger.of_other_runs("joint_head"))

    def _enter(self, kind: EntryKind, count: int, solve: str, attempts: int) -> None:
        """attempts: before this one."""
        if attempts > self._repeats:
            raise BudgetError(
                f"the joint head was attempted {attempts} times in this run, and disclosure.repeats={self._repeats} "
                f"are used; set it to {attempts}, if you know why"
            )
        disclosure = Disclosure(query_id=_SOLVE, to_party=self._to_party, num_samples=count, model_step=0)
        self._ledger.enter(disclosure, kind, attempts + 1, about=solve)
