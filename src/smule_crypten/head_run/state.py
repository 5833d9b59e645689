"""What a party keeps of its joint head, for itself alone: its share, its answers, and what they cost."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.errors import OutputError
from smule_crypten.files import write_atomic

HEAD_FILE = "joint_head.pt"
SCHEMA_VERSION = 1


@dataclass(kw_only=True, eq=False)
class HeadState:
    """Of a solve that has ended well.

    Attributes:
        solve: its identity, the same at both parties.
        rows: of party a and party b.
        attempts: of its iteration.
        share_DC: this party's share of W and of both parties' noise on it, int64 (D, C): its own noise is in it.
        noise_DC: its own noise, int64.
        asked: positions among the candidates of what was asked, int64; None before answers have arrived.
        answers_NC: to these, float64.
        weights_DC: W as it was revealed, under the other party's noise, float64; None before.
        solve_cost, opening_cost: of the attempts that ended well: rounds, bytes_sent, bytes_received; in phase
            "joint head" of the meter.
    """

    solve: str
    rows: tuple[int, int]
    attempts: int
    share_DC: torch.Tensor
    noise_DC: torch.Tensor
    asked: torch.Tensor | None = None
    answers_NC: torch.Tensor | None = None
    weights_DC: torch.Tensor | None = None
    solve_cost: dict[str, int] = field(default_factory=dict)
    opening_cost: dict[str, int] = field(default_factory=dict)

    @property
    def own_DC(self) -> torch.Tensor:
        """The share without the party's own noise: with the peer's share it adds up to W under the peer's."""
        return self.share_DC - self.noise_DC


class HeadStore:
    """One file, which its owner alone may read; written whole or not at all.

    Args:
        belongs_to: what a head must have in common with this run; one of another run is as none.
    """

    def __init__(self, path: Path, terms: JointHeadTerms, belongs_to: str) -> None:
        self._path = path
        self._belongs_to = hashlib.sha256(f"{terms.model_dump_json()}\n{belongs_to}".encode()).hexdigest()

    def save(self, state: HeadState) -> None:
        """Raises OutputError where it cannot be written; what was there stays."""
        content = {"schema_version": SCHEMA_VERSION, "belongs_to": self._belongs_to, "state": asdict(state)}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(self._path, lambda file: file.write(buffer.getbuffer()))

    def load(self) -> HeadState | None:
        """None where there is none of this run.

        Raises:
            OutputError: it is damaged.
        """
        if not self._path.exists():
            return None
        try:
            content = torch.load(self._path, weights_only=True)
            is_own = (content["schema_version"], content["belongs_to"]) == (SCHEMA_VERSION, self._belongs_to)
            values: dict[str, Any] = content["state"]
            return HeadState(**{one.name: values[one.name] for one in fields(HeadState)}) if is_own else None
        except Exception:  # a damaged file may break PyTorch's reader in any way
            raise OutputError(
                f"{self._path} is damaged; restore it, or remove it, and the joint head is solved again if nothing of "
                "it was opened yet"
            ) from None
