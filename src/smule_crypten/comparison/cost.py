"""What a ReLU of a batch costs, to the byte and to the message, from its widths alone.

For w = 18, t = 6, k = 32, a value:
- 41 bits before the images: 17 choices, 24 of the selection's correction;
- 80 from M to D: 42 tables, 18 selection, 18 openings, 1 of beta, 1 hint;
- 33 from D to M: 18 openings, 1 of beta, 14 of the lift;
- 25 correlated transfers of M's instance and 9 of D's; 6 messages per layer.

Single bits are filled up to whole bytes, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from smule_crypten.comparison.conversation import Part, Turn
from smule_crypten.comparison.digit_pads import choice_bytes
from smule_crypten.comparison.digits import table_bytes
from smule_crypten.comparison.tree import opening_bytes
from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious.wire import packed_bytes


class Transfers(NamedTuple):
    """Correlated transfers of both instances, by who is the sender."""

    model_owner: int
    data_owner: int


@dataclass(frozen=True)
class Cost:
    """prepared: turns before the images; online: those after."""

    prepared: tuple[Turn, ...]
    online: tuple[Turn, ...]
    transfers: Transfers

    @property
    def prepared_bytes(self) -> int:
        return sum(turn.num_bytes for turn in self.prepared)

    def online_bytes(self, by_model_owner: bool) -> int:
        return sum(turn.num_bytes for turn in self.online if turn.by_model_owner == by_model_owner)


def relu_cost(elements: int, widths: Widths) -> Cost:
    """Of one batch of `elements` values."""
    choices = Part("choices of digits", choice_bytes(widths, elements))
    correction = Part("correction of the selection", packed_bytes(elements, widths.fine))
    per_value = 2 * widths.pairs + 3 * widths.has_triple
    transfers = Transfers(elements * (per_value + widths.gates + 1), elements * (widths.gates + 1 + widths.hints))
    return Cost((Turn(False, (choices, correction)),), tuple(_online(elements, widths)), transfers)


def _online(elements: int, widths: Widths) -> list[Turn]:
    """Who answers an opening asks the next one in the same message."""
    row = row_bytes(elements)
    shared = [Part(f"level {number}", size) for number, size in enumerate(opening_bytes(widths, elements), 1)]
    shared.append(Part("beta", row))
    by_model_owner = True
    turns = [
        [
            Part("tables of digits", table_bytes(widths, elements)),
            Part("selection", packed_bytes(elements, widths.width)),
        ]
    ]
    for part in shared:
        turns[-1].append(part)
        turns.append([part])
    hints = Part("highest bits", widths.hints * row)
    wraps = Part("wraps", packed_bytes(elements, widths.extension)) if widths.extension else None
    if wraps is not None and widths.hints == 2:
        turns[-2].append(hints)
        turns[-1].append(wraps)
    elif wraps is not None:
        turns[-1].append(hints)
        turns.append([wraps])
    found = []
    for parts in turns:
        found.append(Turn(by_model_owner, tuple(parts)))
        by_model_owner = not by_model_owner
    return found
