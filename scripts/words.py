"""The style sheet, docs/style.md, as a check: words that went, and paragraphs that are too long.

python scripts/words.py              what scripts/lint runs: the pages, and the words of src, launch and conf
python scripts/words.py PATH...      these files and folders, without the length of paragraphs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/**/*.md", "benchmarks/README.md", "benchmarks/results/README.md", "CONTRIBUTING.md")
CODE = ("src", "launch", "conf")
"""Folders whose docstrings, messages and comments use the same words."""
LONGEST = 6 * 120
"""Characters of a paragraph: six lines."""

_UNIT = (
    r"(?:[a-z]*bytes|[MkKG]i?B|queries|epochs?|rounds|images|bits|steps|[a-z]*seconds|ms"
    r"|minutes|classes|columns?|lines?|rows?|records?|messages?|folder)"
)
_EACH = (
    r"(?:epoch|exchange|query|image|party|second|step|sample|logit|run|job|value|column|class|label|target|layer|batch"
    r"|micro-batch|direction|answer|weight|seed|row|unit|ReLU|minute|network|tensor|operation|attempt|event|month|year)"
)


@dataclass(frozen=True)
class Word:
    """A phrase that went."""

    pattern: re.Pattern[str]
    instead: str


WORDS = tuple(
    Word(re.compile(pattern), instead)
    for pattern, instead in (
        (r"\b[Tt]he own\b", "its own, your own, the party's own"),
        (rf"\b{_UNIT} an? {_EACH}\b(?! time)", "per, as in bytes per query"),
        (r"\bprotects? nothing\b", "gives no protection"),
        (r"\bhardly (?:asks?|listens?|learns?)\b", "seldom asks, learns almost nothing from"),
        (r"\banew\b", "again, afresh"),
        (r"\bmend(?:s|ed|ing)?\b", "fix"),
        (r"\bstands? (?:in|there)\b(?! (?:for|between))", "is in, is there"),
        (r"\b(?:to|of|by|for) who (?!is\b|are\b|in\b)", "the party that, anyone who"),
        (r"\ball in(?=[,.;:)|]|$)", "in total"),
        (r"\bat hand\b", "available"),
        (r"\b(?:is|are) said(?=[,.;:]|$)", "a message says so"),
    )
)


def main(arguments: list[str]) -> int:
    """Prints what was found, a line each; 1 if that is anything."""
    if arguments:
        found = [line for path in _files(arguments) for line in words_in(path)]
    else:
        pages = sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})
        found = [line for path in pages for line in (*words_in(path), *long_paragraphs_in(path))]
        found += [line for path in _files(str(ROOT / each) for each in CODE) for line in words_in(path)]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


def words_in(path: Path) -> Iterator[str]:
    """Lines with words that went; of a page outside of code and generated tables, of other files anywhere."""
    for number, text in _prose(path) if path.suffix == ".md" else _lines(path):
        for word in WORDS:
            for match in word.pattern.finditer(text):
                yield f"{_name(path)}:{number}: {match[0]!r}: write {word.instead} (docs/style.md)"


def long_paragraphs_in(path: Path) -> Iterator[str]:
    """Paragraphs and list items of a page that are longer than the style sheet allows."""
    for number, text in paragraphs(path.read_text(encoding="utf-8")):
        if len(text) > LONGEST:
            yield f"{_name(path)}:{number}: a paragraph of {len(text)} characters: {LONGEST} at most (docs/style.md)"


def paragraphs(page: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each paragraph or list item; tables, headings and code are none."""
    start, lines, in_code = 0, list[str](), False
    for number, line in enumerate([*page.split("\n"), ""], 1):
        fence = re.match(r"\s*(```|~~~)", line)
        in_code ^= bool(fence)
        outside = bool(fence) or in_code or not line.strip() or line.startswith(("|", "#", "<!--"))
        if lines and (outside or re.match(r"\s*([-*]|\d+\.) ", line)):
            yield start, " ".join(lines)
            lines = []
        if not outside:
            start = start if lines else number
            lines.append(line.strip())


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a page without code, generated tables and the style sheet's own table."""
    skip_until = None
    for number, line in _lines(path):
        if skip_until is not None:
            skip_until = None if re.match(skip_until, line) else skip_until
        elif match := re.match(r"\s*(```|~~~)", line):
            skip_until = rf"\s*{match[1]}"
        elif re.match(r"<!-- \w+ -->", line):
            skip_until = "<!-- end -->"
        elif not (path.name == "style.md" and line.startswith("|")):
            yield number, re.sub(r"`[^`]*`", "`...`", line)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(path.read_text(encoding="utf-8").split("\n"), 1)


def _files(arguments: Iterable[str]) -> Iterator[Path]:
    for argument in arguments:
        path = Path(argument)
        if path.is_file():
            yield path
        yield from (each for each in sorted(path.rglob("*")) if each.suffix in (".md", ".py", ".yaml"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
