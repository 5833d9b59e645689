"""The few HTML elements of the report. Every argument is plain text and is escaped here, unless named *_html."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def section(anchor: str, title: str, *parts_html: str) -> str:
    return f'<section id="{escape(anchor)}">\n<h2>{escape(title)}</h2>\n{"".join(parts_html)}</section>\n'


def subsection(title: str, *parts_html: str) -> str:
    return f"<div><h3>{escape(title)}</h3>\n{''.join(parts_html)}</div>\n"


def side_by_side(*parts_html: str) -> str:
    """Columns on a wide screen, one below the other on a phone."""
    return f'<div class="columns">{"".join(parts_html)}</div>\n'


def paragraph(text: str, css_class: str = "") -> str:
    return f"<p{_class(css_class)}>{escape(text)}</p>\n"


def banner(css_class: str, title: str, text: str) -> str:
    return f'<p class="banner {css_class}" role="note"><strong>{escape(title)}</strong> {escape(text)}</p>\n'


def tiles(items: Iterable[tuple[str, str, str]]) -> str:
    """Key numbers: (label, value, remark) each."""
    cells = (
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>"
        for label, value, remark in items
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>\n'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], align: str, *, css_class: str = "") -> str:
    """A table that scrolls where it is too wide. align holds one letter a column: l for text, r for numbers."""

    def row_html(tag: str, cells: Sequence[str]) -> str:
        texts = (
            f"<{tag}{_class('number' if side == 'r' else '')}>{escape(cell)}</{tag}>"
            for cell, side in zip(cells, align, strict=True)
        )
        return f"<tr>{''.join(texts)}</tr>\n"

    body = "".join(row_html("td", row) for row in rows)
    head = f"<thead>{row_html('th', headings)}</thead>" if headings else ""
    return f"<div{_class(f'scroll {css_class}'.strip())}><table>{head}<tbody>\n{body}</tbody></table></div>\n"


def figure(svg_html: str, caption: str) -> str:
    """A figure; the caption is also what a screen reader says."""
    return (
        f'<figure role="img" aria-label="{escape(caption)}">{svg_html}'
        f'<figcaption aria-hidden="true">{escape(caption)}</figcaption></figure>\n'
    )


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""
