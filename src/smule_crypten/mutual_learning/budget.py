"""What a model owner is willing to disclose.

Soft labels tell about the model that gave them, so its owner limits how many it answers. Every attempt at an exchange
and every second set of answers is entered into a ledger before it is computed (mutual_learning/disclosures.py). All
entries count, also those of an exchange that is attempted again after a crash. The limit is known before the first
answer, since noise in the answers is chosen by it. What a joint head answers has a limit of its own (head_budget.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.errors import BudgetError, ProtocolError
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.mutual_learning.disclosures import ANSWERS, Entry
from smule_crypten.mutual_learning.kept_ledger import KeptLedger
from smule_crypten.mutual_learning.schedule import NOTHING_PUBLIC, PublicPlan
from smule_crypten.types import Disclosure


class QueryBudget:
    """Charges answers against the owner's limits. A context manager; enter it, then plan, then charge.

    While it is entered no other process can write to the ledger.

    Args:
        path: the ledger.
        run: identity of this run; an exchange is known by run and number. None for one that was never begun.
        peer: fingerprint of the certificate of the party that gets the answers; None in a simulation.
        head: a file that remembers how far the ledger was seen; None for none.

    Raises:
        OutputError: the ledger cannot be read, was changed, or lacks lines that it had.
    """

    def __init__(
        self, config: DisclosureConfig, path: Path, *, run: str | None, peer: str | None, head: Path | None = None
    ) -> None:
        self._config = config
        self.ledger = KeptLedger(path, run=run, peer=peer, former=config.former_fingerprints, head=head)
        self._limit = config.max_answers_total
        self._public_to_come = 0
        self._repeats_allowed: int | None = None

    def __enter__(self) -> QueryBudget:
        """Raises OutputError as the constructor, and where another process uses the ledger."""
        self.ledger.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ledger.__exit__(kind, error, traceback)

    @property
    def noise_rule(self) -> NoiseRule:
        """What hides the rounding of as many answers as the limit allows, and what the owner adds on top.

        Those about public samples are not rounded, so they are left out: what was charged as such, or will be by a plan
        that is the limit.

        Raises:
            ProtocolError: as `limit`.
        """
        public = _in_public(self.ledger.of_peer("public"))
        return NoiseRule(num_answers=self.limit - public - self._public_to_come, extra=self._config.logit_noise)

    @property
    def limit(self) -> int:
        """The most answers that this peer gets in all, those in the ledger with them.

        That is max_answers_total or, without one, what it got before this run and what the plan of this run can give
        it, repeats with it.
        """
        if self._limit is None:
            raise ProtocolError("without disclosure.max_answers_total the limit follows from the plan; call plan first")
        return self._limit

    @property
    def answered(self) -> int:
        """Answers to this peer so far, in this run and others."""
        return _total(self.ledger.of_peer(*ANSWERS))

    @property
    def answered_before(self) -> int:
        """Those of other runs."""
        return _total(self.ledger.of_other_runs(*ANSWERS))

    @property
    def answered_to_others(self) -> int:
        """Answers that the ledger knows of under other certificates."""
        return _total(self.ledger.of_others(*ANSWERS))

    @property
    def charged(self) -> dict[int, int]:
        """Answers by number of the exchange, in this run, all attempts together."""
        charged: Counter[int] = Counter()
        for entry in self._of_this_run():
            charged[entry.query_id] += entry.num_samples
        return dict(charged)

    @property
    def repeats_used(self) -> int:
        """Attempts at exchanges of this run, less one for each exchange."""
        return sum(self._attempts.values()) - len(self._attempts)

    def facts(self) -> dict[str, int]:
        """For a report (docs/results.md)."""
        return {
            "limit": self.limit,
            "charged": self.answered - self.answered_before,
            "charged_before": self.answered_before,
            "left": max(0, self.limit - self.answered),
            "public": _in_public(self._of_this_run()),
            "repeats_used": self.repeats_used,
            "repeats_allowed": self._repeats_allowed or 0,
        }

    def plan(
        self,
        to_party: str,
        counts: Sequence[int],
        *,
        first: int = 1,
        can_repeat: bool = True,
        public: PublicPlan = NOTHING_PUBLIC,
    ) -> None:
        """Fix the limit by what will be answered, and refuse what it does not suffice for, before anything is answered.

        Args:
            counts: the most answers of each exchange of the whole run, second answers with them.
            first: number of the first exchange to come.
            can_repeat: whether an exchange that was cut off is attempted again under its number.
            public: those about public samples beside counts.

        Raises:
            BudgetError: a limit is too low; says what would do.
        """
        self._repeats_allowed = repeats = self._config.repeats if can_repeat else 0
        asked_in_public = public.counts or [0] * len(counts)
        counts = [sum(both) for both in zip(counts, asked_in_public, strict=True)]
        self._check_at_once(to_party, max(counts, default=0))
        attempts = self._attempts
        again = sum(number in attempts for number in range(first, len(counts) + 1))
        if self.repeats_used + again > repeats:
            raise BudgetError(
                f"{self.repeats_used} exchanges were repeated and {again} more would be, disclosure.repeats={repeats}; "
                f"set it to {self.repeats_used + again}, if you know why"
            )
        charged = sum(entry.num_samples for entry in self._public_entries(first)[-1:]) if public.is_repeated else 0
        to_come = sum(counts[first - 1 :]) - charged
        if self._config.max_answers_total is None:
            self._limit = self.answered_before + sum(counts) + repeats * max(counts, default=0)
            self._public_to_come = sum(asked_in_public[first - 1 :]) - charged
        where = (
            f"party {to_party} may ask for {to_come} answers in {max(0, len(counts) - first + 1)} exchange(s) to come"
        )
        self._check_total(where, to_come)

    def charge(self, disclosure: Disclosure, *, num_second: int = 0) -> None:
        """Enter an attempt at an exchange that is about to be computed; num_second answers will be asked again.

        Raises:
            BudgetError: it would exceed a limit; nothing is entered.
            OutputError: the ledger cannot be written; nothing may be disclosed.
        """
        repeats, attempts = self._repeats_allowed, self._attempts[disclosure.query_id]
        if repeats is None:
            raise ProtocolError("nothing is answered without a plan; call plan first")
        asked = disclosure.num_samples + num_second
        self._check_at_once(disclosure.to_party, asked)
        if attempts and self.repeats_used >= repeats:
            raise BudgetError(
                f"exchange {disclosure.query_id} was attempted {attempts} times, and "
                f"disclosure.repeats={repeats} are used"
            )
        self._check_total(f"party {disclosure.to_party} asks for {asked} answers", asked)
        self.ledger.enter(disclosure, "first", attempts + 1)

    def charge_second(self, disclosure: Disclosure) -> None:
        """Enter the second answers of the attempt that was charged last.

        Raises:
            BudgetError, OutputError: as charge.
        """
        attempts, asked = self._attempts[disclosure.query_id], disclosure.num_samples
        if not attempts:
            raise ProtocolError(f"exchange {disclosure.query_id} has no first answers; charge them first")
        self._check_total(f"party {disclosure.to_party} asks for {asked} second answers", asked)
        self.ledger.enter(disclosure, "second", attempts)

    def charge_public(self, disclosure: Disclosure, *, about: str) -> None:
        """Enter answers about public samples of the attempt that was charged last.

        Args:
            about: digest of all that they follow from; where this exchange has an entry of it, they are the same.

        Raises:
            BudgetError, OutputError: as charge.
        """
        number, asked = disclosure.query_id, disclosure.num_samples
        if asked == 0 or any(entry.about == about for entry in self._public_entries(number)):
            return
        self._check_total(f"party {disclosure.to_party} asks for {asked} answers about public samples", asked)
        self.ledger.enter(disclosure, "public", self._attempts[number], about)
        self._public_to_come = max(0, self._public_to_come - asked)

    def enter_losses(self, disclosure: Disclosure) -> None:
        """Enter mean losses of the party's own validation part that are about to be told; they have no limit.

        Raises:
            OutputError: as charge.
        """
        self.ledger.enter(disclosure, "joint_head_losses", self._attempts[disclosure.query_id] + 1)

    def _public_entries(self, exchange: int) -> list[Entry]:
        return [entry for entry in self._of_this_run() if entry.kind == "public" and entry.query_id == exchange]

    @property
    def _attempts(self) -> Counter[int]:
        """At each exchange of this run."""
        return Counter(entry.query_id for entry in self._of_this_run() if entry.kind == "first")

    def _of_this_run(self) -> list[Entry]:
        return self.ledger.of_this_run(*ANSWERS)

    def _check_at_once(self, to_party: str, asked: int) -> None:
        limit = self._config.max_answers_per_exchange
        if limit is not None and asked > limit:
            raise BudgetError(
                f"party {to_party} may ask for {asked} answers at once, disclosure.max_answers_per_exchange={limit}; "
                "raise it or agree on fewer queries"
            )

    def _check_total(self, where: str, asked: int) -> None:
        if self.answered + asked <= self.limit:
            return
        total = self._config.max_answers_total
        name = (
            f"the plan of this run, of {self.limit} answers,"
            if total is None
            else f"disclosure.max_answers_total={total}"
        )
        remedy = "" if total is None else f"; {self.answered + asked} would do, or agree on fewer queries"
        raise BudgetError(f"{where}, {name} leaves {max(0, self.limit - self.answered)}{remedy}")


def _total(entries: Iterable[Entry]) -> int:
    return sum(entry.num_samples for entry in entries)


def _in_public(entries: Iterable[Entry]) -> int:
    """Answers about public samples."""
    return _total(entry for entry in entries if entry.kind == "public")
