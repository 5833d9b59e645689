"""A ledger as one run uses it: whose entries count, that nobody else writes to it, and how an entry gets in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from smule_crypten.errors import OutputError
from smule_crypten.mutual_learning.disclosures import (
    Entry,
    EntryKind,
    append_entry,
    check_head,
    last_digest,
    locked_ledger,
    next_entry,
    read_head,
    read_ledger,
    write_head,
)
from smule_crypten.types import Disclosure


class KeptLedger:
    """While it is entered no other process can write to it.

    Args:
        path: the ledger.
        run: identity of this run; None for one that was never begun.
        peer: fingerprint of the certificate of the party that gets the answers; None in a simulation.
        former: fingerprints that the peer had before.
        head: a file that remembers how far the ledger was seen; None for none.

    on_entry hears of each line once it is in the ledger, and before anything of it is computed.

    Raises:
        OutputError: the ledger cannot be read, was changed, or lacks lines that it had.
    """

    def __init__(
        self, path: Path, *, run: str | None, peer: str | None, former: Sequence[str] = (), head: Path | None = None
    ) -> None:
        self._path = path
        self.run = run
        self.on_entry: Callable[[Entry], None] = lambda entry: None
        self._peer = peer
        self._peers = {peer, *former}
        self._head = head
        self._stack = ExitStack()
        self.entries = self._read()

    def __enter__(self) -> KeptLedger:
        """Raises OutputError as the constructor, and where another process uses the ledger."""
        self._stack.enter_context(locked_ledger(self._path))
        self.entries = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def of_this_run(self, *kinds: EntryKind) -> list[Entry]:
        return [entry for entry in self.entries if entry.run == self.run and entry.kind in kinds]

    def of_other_runs(self, *kinds: EntryKind) -> list[Entry]:
        """Those that count, since the peer is the same."""
        return [entry for entry in self.of_peer(*kinds) if entry.run != self.run]

    def of_peer(self, *kinds: EntryKind) -> list[Entry]:
        """All that this peer got."""
        return [entry for entry in self.entries if self._counts(entry) and entry.kind in kinds]

    def of_others(self, *kinds: EntryKind) -> list[Entry]:
        """What went to other certificates."""
        return [entry for entry in self.entries if not self._counts(entry) and entry.kind in kinds]

    def _counts(self, entry: Entry) -> bool:
        # A peer that got another certificate in the middle of a run is still the same.
        return entry.peer in self._peers or entry.run == self.run

    @property
    def digest(self) -> str:
        """Of the last line. Who keeps it elsewhere can tell later that no line was cut off."""
        return last_digest(self.entries)

    def enter(self, disclosure: Disclosure, kind: EntryKind, attempt: int, about: str | None = None) -> None:
        """On return the entry is on disk, and what it is about may be computed.

        Raises:
            OutputError: it cannot be written, or somebody else wrote to the ledger.
        """
        assert self.run is not None, "only a run can disclose anything"
        if self._read() != self.entries:
            raise OutputError(
                f"ledger {self._path} was changed by somebody else in the course of this run; see by whom"
            )
        entry = next_entry(
            self.entries, disclosure, run=self.run, peer=self._peer, attempt=attempt, kind=kind, about=about
        )
        append_entry(self._path, entry)
        self.entries = [*self.entries, entry]
        if self._head is not None:
            write_head(self._head, self._path, self.entries)
        self.on_entry(entry)

    def _read(self) -> list[Entry]:
        entries = read_ledger(self._path)
        if self._head is not None and (head := read_head(self._head)) is not None:
            check_head(head, self._head, self._path, entries)
        return entries
