"""What each party says of the joint head before it is solved, and that the peer's words make sense."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from smule_crypten.errors import ProtocolError, quoted

_KEY = "joint_head"
_MOST = 1 << 40
_IDENTITY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Announced:
    """rows: own labelled ones. asks: for so many answers, in all of this attempt and those that were answered.

    left: so many answers the other party may still have, as other runs have left it. solve: identity of the one that
    this party has a share of; None without. answered, revealed: what it has of that.
    """

    rows: int
    asks: int
    left: int
    solve: str | None
    answered: bool
    revealed: bool

    def message(self) -> dict[str, Any]:
        return {_KEY: asdict(self)}

    def gets(self, other: Announced) -> int:
        """How many answers this party has of the other one in the end."""
        return self.asks if self.answered else min(self.asks, other.left)

    def due(self, other: Announced) -> int:
        """How many of these it does not have yet."""
        return 0 if self.answered else self.gets(other)

    @property
    def has_seen(self) -> bool:
        """Something of a head, of whichever solve."""
        return self.answered or self.revealed

    def of_a_new_solve(self) -> Announced:
        """What was there is forgotten."""
        return replace(self, solve=None, answered=False, revealed=False)


def checked(message: object, peer: str) -> Announced:
    """Raises ProtocolError where it is no such message."""
    match message:
        case {
            "joint_head": {
                "rows": int(rows),
                "asks": int(asks),
                "left": int(left),
                "solve": str() | None as solve,
                "answered": bool(answered),
                "revealed": bool(revealed),
            }
        } if all(type(number) is int and 0 <= number < _MOST for number in (rows, asks, left)):
            if solve is None or _IDENTITY.fullmatch(solve):
                return Announced(rows=rows, asks=asks, left=left, solve=solve, answered=answered, revealed=revealed)
    raise ProtocolError(
        f"party {peer} does not begin a joint head: {quoted(message)}; use the same version, and restart"
    )
