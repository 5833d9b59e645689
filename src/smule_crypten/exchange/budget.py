"""What a model owner is willing to disclose, and the ledger of what it has disclosed.

Soft labels tell about the model that gave them, so its owner limits how many it answers. The ledger is a file of one
JSON line an answered query, written before the answer is computed; it survives restarts. A query that is repeated
after a crash is charged once.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from smule_crypten.config import BudgetConfig
from smule_crypten.errors import BudgetError, OutputError
from smule_crypten.files import output_error, write_atomic
from smule_crypten.types import Disclosure


class QueryBudget:
    """Charges answered queries against the owner's limits.

    Args:
        path: the ledger; its entries count from earlier sessions, too.

    Raises:
        OutputError: the ledger cannot be read or written.
    """

    def __init__(self, config: BudgetConfig, path: Path) -> None:
        self._config = config
        self._path = path
        self.entries = _read(path)

    @property
    def answered(self) -> int:
        """Number of samples answered so far."""
        return sum(entry.num_samples for entry in self.entries)

    def charge(self, disclosure: Disclosure) -> None:
        """Enter what is about to be disclosed.

        Raises:
            BudgetError: it would exceed a limit; nothing is entered.
        """
        earlier = next((entry for entry in self.entries if entry.query_id == disclosure.query_id), None)
        if earlier is not None and earlier.num_samples >= disclosure.num_samples:
            return
        already = 0 if earlier is None else earlier.num_samples
        self._check(disclosure, already)
        if earlier is not None:
            self.entries.remove(earlier)
        self.entries.append(disclosure)
        self._write()

    def _check(self, disclosure: Disclosure, already: int) -> None:
        asked, where = (
            disclosure.num_samples,
            f"party {disclosure.to_party} asks about {disclosure.num_samples} samples",
        )
        limit = self._config.max_queries_per_exchange
        if limit is not None and asked > limit:
            raise BudgetError(f"{where} at once, budget.max_queries_per_exchange allows {limit}")
        total = self._config.max_queries_total
        if total is not None and self.answered - already + asked > total:
            left = total - self.answered + already
            raise BudgetError(f"{where}, budget.max_queries_total={total} leaves {left}")

    def _write(self) -> None:
        """Replace the whole ledger at once: a crash leaves the old or the new one, never half a line."""
        text = "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in self.entries)
        write_atomic(self._path, lambda file: file.write(text.encode()))


def _read(path: Path) -> list[Disclosure]:
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise output_error(path, error) from error
    try:
        return [Disclosure(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise OutputError(f"ledger {path} is damaged; restore it, since it limits what is disclosed") from error
