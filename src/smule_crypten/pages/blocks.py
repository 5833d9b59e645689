"""What a page is made of, as plain text; templates/blocks.html makes HTML of it and escapes all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """One that scrolls where it is too wide.

    Attributes:
        align: one letter a column: l for text, r for numbers.
        css_class: `headline` for a large one, `tall` for one that scrolls in its height, too, `settings` for keys.
    """

    kind: ClassVar[str] = "table"
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str
    css_class: str = ""

    def cells(self, row: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Letter of the column, figure and the interval in brackets behind it, between which a line may be broken."""
        for side, text in zip(self.align, row, strict=True):
            value, bracket, interval = text.partition(" (") if side == "r" else (text, "", "")
            yield side, value, f"({interval}" if bracket else ""


@dataclass(frozen=True)
class Plot:
    """A picture; caption is shown, alt is what a screen reader says."""

    kind: ClassVar[str] = "plot"
    svg: Markup
    caption: str
    alt: str

    @classmethod
    def of(cls, svg_html: str, caption: str, alt: str = "") -> Plot:
        """Of what to_inline_svg made, whose texts matplotlib has escaped. Without alt, the caption is used."""
        return cls(Markup(svg_html), caption, alt or caption)


@dataclass(frozen=True)
class Columns:
    """Side by side on a wide screen, one below the other on a phone."""

    kind: ClassVar[str] = "columns"
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Part:
    """Blocks below a small heading."""

    kind: ClassVar[str] = "part"
    title: str
    blocks: Sequence[Block]


Block: TypeAlias = str | Table | Plot | Columns | Part
"""A text is a paragraph; an empty one is nothing."""


@dataclass(frozen=True)
class Section:
    """Blocks below a heading. On the report it is folded until somebody opens it; print shows it."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Banner:
    """What must not be overlooked. kind: `warn` or `bad`, which decides its color."""

    kind: str
    title: str
    text: str
