"""What mkdocs.yml does not do by itself: pages beside docs/, notebooks as pages, links that serve GitHub and the site.

A page keeps its path in the repository, without "docs/"; README.md is the first page. A file that a page links to, and
that is no page, is copied to the same place, so a link works wherever the page is read.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
BESIDE = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "src/smule_crypten/README.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "benchmarks/results/history/*.md",
)
"""Pages that do not stand in docs/, by paths from the root of the repository."""
_LINK = re.compile(
    r"(?P<before>\]\()(?P<target>[^)\s]+)(?=\))|(?P<attribute>(?:src|srcset|href)=\")(?P<value>[^\"]+)(?=\")"
)
_LOG = logging.getLogger("mkdocs.hooks.site_pages")
_GITHUB = MarkdownIt("commonmark").enable("table")
_FENCE = re.compile(r"^\s*(```|~~~)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds pages beside docs/, a page for each notebook, and the files that pages link to."""
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri_of(name), abs_src_path=str(path)))
    for path in sorted(ROOT.glob("docs/notebooks/*.ipynb")):
        page = notebook_page(json.loads(path.read_text(encoding="utf-8")))
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page))
    for file in list(files.documentation_pages()):
        linked = (name for name, _ in targets_of(file.content_string, repository_path(file.src_uri)))
        for name in linked:
            if (ROOT / name).is_file() and uri_of(name) not in files.src_uris:
                files.append(File.generated(config, uri_of(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links by paths of the repository into links by paths of the site."""
    here = repository_path(page.file.src_uri)
    folder = os.path.dirname(page.file.src_uri)

    def new_target(target: str) -> str:
        name, anchor = resolved(target, here)
        if name is None or uri_of(name) not in files.src_uris:
            return target  # of the internet, of this page, or dead, which mkdocs then says
        return os.path.relpath(uri_of(name), folder or ".") + anchor

    return map_targets(markdown, new_target)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Warns of a page whose lists or tables the site reads otherwise than GitHub (nested lists want four spaces)."""
    markdown = page.markdown or ""
    if not re.search(r"^::: ", markdown, re.MULTILINE):
        on_github = _GITHUB.render(markdown)
        for tag in ("<li>", "<table", "<pre"):
            if html.count(tag) != on_github.count(tag):
                _LOG.warning(
                    "%s: %d of %r here, %d on GitHub", page.file.src_uri, html.count(tag), tag, on_github.count(tag)
                )
    return html


def uri_of(name: str) -> str:
    """Where a file of the repository stands in the site."""
    if name == "README.md":
        return "index.md"
    if name.endswith(".ipynb"):
        return name.removeprefix("docs/").removesuffix(".ipynb") + ".md"
    return name.removeprefix("docs/")


def repository_path(uri: str) -> str:
    """Where a page of the site stands in the repository."""
    if uri == "index.md":
        return "README.md"
    if uri.startswith("notebooks/"):
        return f"docs/{uri.removesuffix('.md')}.ipynb"
    return f"docs/{uri}" if (ROOT / "docs" / uri).exists() else uri


def resolved(target: str, here: str) -> tuple[str | None, str]:
    """The path in the repository that a link of the page `here` means, and its anchor with "#"."""
    path, hash_sign, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return None, ""
    return os.path.normpath(os.path.join(os.path.dirname(here), unquote(path))), hash_sign + anchor


def targets_of(markdown: str, here: str) -> list[tuple[str, str]]:
    """Each link of a page to a file: its path in the repository, and its anchor."""
    found: list[tuple[str, str]] = []

    def keep(target: str) -> str:
        name, anchor = resolved(target, here)
        if name is not None:
            found.append((name, anchor))
        return target

    map_targets(markdown, keep)
    return found


def map_targets(markdown: str, change: Callable[[str], str]) -> str:
    """The page with another target for each of its links; blocks of code stay as they are."""

    def replaced(match: re.Match[str]) -> str:
        if match["attribute"]:
            return match["attribute"] + change(match["value"])
        return match["before"] + change(match["target"])

    lines, in_code = [], False
    for line in markdown.split("\n"):
        in_code ^= bool(_FENCE.match(line))
        lines.append(line if in_code else _LINK.sub(replaced, line))
    return "\n".join(lines)


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown: text, code, and what was printed or drawn when it was last run."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
            parts += [shown for output in cell["outputs"] for shown in _shown(output)]
    return "\n\n".join(parts) + "\n"


def _shown(output: dict[str, Any]) -> list[str]:
    if output["output_type"] == "stream":
        return [f"```text\n{''.join(output['text']).rstrip()}\n```"]
    data = output.get("data", {})
    if table := re.search(r"<table.*</table>", "".join(data.get("text/html", ())), re.DOTALL):
        return [re.sub(r"<table[^>]*>", "<table>", table[0])]  # the theme has no style for pandas' class
    if "image/png" in data:
        drawn = "".join(data["image/png"]).replace("\n", "")
        return [f"![A plot of the cell above](data:image/png;base64,{drawn})"]
    if "text/plain" in data:
        return [f"```text\n{''.join(data['text/plain'])}\n```"]
    return []
