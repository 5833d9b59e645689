"""What a model owner is willing to disclose.

Soft labels tell about the model that gave them, so its owner limits how many it answers. Each answered query is entered
into a ledger before the answer is computed (exchange/disclosures.py); the limit counts all that one peer was answered,
in whatever run the ledger knows of. A query that is repeated after a crash is charged once.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from smule_crypten.config import BudgetConfig
from smule_crypten.errors import BudgetError
from smule_crypten.exchange.disclosures import Entry, locked_ledger, read_ledger, write_ledger
from smule_crypten.types import Disclosure


class QueryBudget:
    """Charges answered queries against the owner's limits. A context manager; enter it before charging.

    While it is entered no other process can write to the ledger.

    Args:
        path: the ledger.
        run: identity of this run; a query is known by run and number. None for one that was never begun.
        peer: fingerprint of the certificate of who gets the answers; None in a simulation.

    Raises:
        OutputError: the ledger cannot be read.
    """

    def __init__(self, config: BudgetConfig, path: Path, *, run: str | None, peer: str | None) -> None:
        self._config = config
        self._path = path
        self._run = run
        self._peer = peer
        self._peers = {peer, *config.former_fingerprints}
        self._stack = ExitStack()
        self._entries = read_ledger(path)

    def __enter__(self) -> QueryBudget:
        """Raises OutputError where another process uses the ledger."""
        self._stack.enter_context(locked_ledger(self._path))
        self._entries = read_ledger(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def answered(self) -> int:
        """Samples answered to this peer so far, in this run and others."""
        return sum(entry.num_samples for entry in self._entries if self._counts(entry))

    @property
    def answered_to_others(self) -> int:
        """Samples that the ledger knows of under other certificates."""
        return sum(entry.num_samples for entry in self._entries if not self._counts(entry))

    @property
    def charged(self) -> dict[int, int]:
        """Samples by number of the query, in this run."""
        return {entry.query_id: entry.num_samples for entry in self._entries if entry.run == self._run}

    def charge(self, disclosure: Disclosure) -> None:
        """Enter what is about to be disclosed.

        Raises:
            BudgetError: it would exceed a limit; nothing is entered.
            OutputError: the ledger cannot be written; nothing may be disclosed.
        """
        assert self._run is not None, "only a run can disclose anything"
        already = self.charged.get(disclosure.query_id)
        if already is not None and already >= disclosure.num_samples:
            return
        self._check(disclosure, already or 0)
        kept = [entry for entry in self._entries if (entry.run, entry.query_id) != (self._run, disclosure.query_id)]
        entries = [*kept, Entry(run=self._run, peer=self._peer, **dataclasses.asdict(disclosure))]
        write_ledger(self._path, entries)
        self._entries = entries

    def check_total(self, to_party: str, num_samples: int) -> None:
        """Refuse so many samples, asked about in one or more queries to come, where the total does not allow them.

        Raises:
            BudgetError: as charge; nothing is entered.
        """
        self._check_total(f"party {to_party} asks about {num_samples} samples", num_samples, already=0)

    def _counts(self, entry: Entry) -> bool:
        # A peer that got another certificate in the middle of a run is still the same.
        return entry.peer in self._peers or entry.run == self._run

    def _check(self, disclosure: Disclosure, already: int) -> None:
        asked = disclosure.num_samples
        where = f"party {disclosure.to_party} asks about {asked} samples"
        limit = self._config.max_queries_per_exchange
        if limit is not None and asked > limit:
            raise BudgetError(f"{where} at once, budget.max_queries_per_exchange allows {limit}")
        self._check_total(where, asked, already)

    def _check_total(self, where: str, asked: int, already: int) -> None:
        total = self._config.max_queries_total
        if total is not None and self.answered - already + asked > total:
            left = total - self.answered + already
            raise BudgetError(f"{where}, budget.max_queries_total={total} leaves {max(0, left)}")
