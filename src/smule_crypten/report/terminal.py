"""Tables and lists of facts for a terminal of any width: no cut column, and no break inside a word.

Words end at spaces; a name that is longer than its column is broken behind one of . _ / = , - : where it has one.
Where a table does not fit at all, each of its rows becomes a short list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_PIECE = re.compile(r"[^./_=,:-]*(?:[./_=,:-]+|$)")
_WORD = re.compile(r"\S*\d (?:%|(?:s|min|h|[kMGT]?B)\b)\S*|\S+")
"""A number stays with its unit."""
_SPACE_BESIDE_A_COLUMN = 3
_SPACE_BESIDE_A_TABLE = 1
_LEAST_TEXT = 12
"""Text in narrower columns is hard to read, whatever its words are."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """heading may hold line breaks. Numbers stand right and are never broken."""

    heading: str
    is_number: bool = True
    is_bold: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table with a title; a cell of a text column may hold line breaks. Nothing is read as markup."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = self._widths(options.max_width)
        if widths is None:
            yield from self._as_lists(options.max_width)
            return
        table = Table(title=self.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for column, width in zip(self.columns, widths, strict=True):
            heading = "\n".join(_wrapped(column.heading, width))
            table.add_column(heading, justify="right" if column.is_number else "left", width=width, no_wrap=True)
        for row in self.rows:
            cells = ("\n".join(_wrapped(cell, width)) for cell, width in zip(row, widths, strict=True))
            styles = ("bold" if column.is_bold else "" for column in self.columns)
            table.add_row(*(Text(cell, style=style) for cell, style in zip(cells, styles, strict=True)))
        yield table

    def _widths(self, max_width: int) -> list[int] | None:
        """Of each column; None where the table does not fit without breaking a word or a number."""
        least, most = [], []
        for position, column in enumerate(self.columns):
            cells = [row[position] for row in self.rows]
            longest = max((_longest_line(cell) for cell in cells), default=0)
            heading = max(map(len, column.heading.split()), default=0)
            needed = longest if column.is_number else max((_longest_piece(cell) for cell in cells), default=0)
            if not column.is_number:
                needed = max(needed, min(longest, _LEAST_TEXT))
            least.append(max(heading, needed))
            most.append(max(_longest_line(column.heading), heading, longest))
        free = max_width - _SPACE_BESIDE_A_TABLE - _SPACE_BESIDE_A_COLUMN * len(self.columns) - sum(least)
        if free < 0:
            return None
        widths = []
        for smallest, largest in zip(least, most, strict=True):
            extra = min(free, largest - smallest)
            free -= extra
            widths.append(smallest + extra)
        return widths

    def _as_lists(self, max_width: int) -> RenderResult:
        yield Text(self.title, style="bold")
        headings = [" ".join(column.heading.split()) for column in self.columns]
        for row in self.rows:
            yield Text("\n".join(_wrapped(f"{headings[0]} {row[0]}".strip(), max_width)))
            for heading, cell in zip(headings[1:], row[1:], strict=True):
                lines = _wrapped(f"{heading}: {cell}", max_width - 4)
                yield Text("\n".join(f"    {line}" for line in lines))


@dataclass(frozen=True)
class Facts:
    """Name and text of each fact that has a text."""

    facts: Mapping[str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = {name: text for name, text in self.facts.items() if text}
        width = max(map(len, shown), default=0)
        for name, text in shown.items():
            first, *others = _wrapped(text, max(_LEAST_TEXT, options.max_width - width - 6))
            yield Text(f"  {name:<{width}}    ", style="dim").append(Text(first, style="not dim"))
            for line in others:
                yield Text(f"{'':<{width + 6}}{line}")


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\n")), default=0)


def _longest_piece(text: str) -> int:
    return max((len(piece) for word in text.split() for piece in _PIECE.findall(word)), default=0)


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of text, each as wide as width allows. A piece that is wider is broken where it must be."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _WORD.findall(paragraph):
            joined = f"{line} {word}" if line else word
            if len(joined) <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            *full, line = _broken(word, width)
            lines += full
        lines.append(line)
    return lines


def _broken(word: str, width: int) -> list[str]:
    lines = [""]
    for piece in _PIECE.findall(word):
        if len(lines[-1]) + len(piece) <= width:
            lines[-1] += piece
        else:
            cut = [piece[start : start + width] for start in range(0, len(piece), width)]
            lines = [*lines, *cut] if lines[-1] else cut
    return lines
