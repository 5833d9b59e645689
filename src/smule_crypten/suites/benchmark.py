"""The results of a suite of comparisons: tables for the terminal, Markdown, and one self-contained HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from smule_crypten.pages.blocks import Banner, Plot, Section, Table
from smule_crypten.pages.plots import layers_figure
from smule_crypten.pages.rendering import render
from smule_crypten.report import phrases
from smule_crypten.report.formatting import MISSING, human_bytes, human_seconds, percent
from smule_crypten.report.svg import to_inline_svg
from smule_crypten.report.terminal import Column, Grid
from smule_crypten.suites.benchmark_plots import accuracy_figure, epoch_figure
from smule_crypten.suites.suite_records import Cell, ResultTable, SuiteResults

_BASIS = "basis"


def terminal_tables(results: SuiteResults) -> RenderableType:
    """All tables with their notes."""
    parts: list[RenderableType] = []
    notice = phrases.insecurity_notice(list(results.insecure_choices))
    if notice:
        parts.append(Text(notice, style="bold yellow"))
    for content in results.tables:
        columns = [(key, heading) for key, heading in content.columns if key in content.on_terminal]
        if not columns:
            continue
        keys = [*columns, (_BASIS, "Basis")]
        shown = Grid(
            title=content.title,
            columns=[Column(heading=heading, is_number=_is_number(content, key)) for key, heading in keys],
            rows=[_cells(keys, row) for row in content.rows],
        )
        parts += [shown, Text(content.note, style="dim")]
    return Group(*parts)


def markdown(results: SuiteResults) -> str:
    """All tables, with when, where and by which command they came about."""
    facts = [results.date, f"commit {results.commit or 'unknown'}"]
    facts += [f"{name} {value}" for name, value in {**results.hardware, **results.versions}.items()]
    parts = [f"# Benchmark {results.suite}", ", ".join(facts) + ".", f"```sh\n{shlex.join(results.command)}\n```"]
    notice = phrases.insecurity_notice(list(results.insecure_choices))
    parts += [f"{notice}."] if notice else []
    for content in results.tables:
        columns = [*content.columns, (_BASIS, "Basis")]
        lines = [
            [heading for _, heading in columns],
            ["---:" if _is_number(content, key) else "---" for key, _ in columns],
            *(_cells(columns, row) for row in content.rows),
        ]
        rows = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts += [f"## {content.title}", rows, content.note]
    return "\n\n".join(parts) + "\n"


def render_benchmark(results: SuiteResults) -> str:
    """The whole page."""
    sections = [_table_section(f"table-{position}", content) for position, content in enumerate(results.tables)]
    name = results.suite
    facts = [f"suite {name}", results.date, f"commit {results.commit or 'unknown'}"]
    notice = phrases.insecurity_notice(list(results.insecure_choices))
    return render(
        "benchmark.html",
        title=f"SMuLe benchmark {name}",
        heading="Secure mutual learning beside its alternatives",
        subtitle=" · ".join(facts),
        warnings=[Banner("warn", f"{notice}.", "Accuracy and cost are real, security is not.")] if notice else [],
        about="Every figure says what it is: measured, predicted, extrapolated, or published by others.",
        sections=[*sections[:1], *_figures(results), *sections[1:], _environment(results)],
    )


def _table_section(anchor: str, content: ResultTable) -> Section:
    columns = [*content.columns, (_BASIS, "Basis")]
    align = "".join("r" if _is_number(content, key) else "l" for key, _ in columns)
    rows = [_cells(columns, row) for row in content.rows]
    shown = Table([heading for _, heading in columns], rows, align)
    return Section(anchor, content.title, [shown, content.note])


def _figures(results: SuiteResults) -> list[Section]:
    """One section, or none where there is nothing to draw."""
    parts = []
    if results.curves:
        captions = {
            "bytes": "Test accuracy, mean of both parties, by bytes so far, both directions and dealer.",
            "epoch": "Test accuracy over the epochs.",
            "seconds": "Test accuracy over the time on this machine.",
        }
        parts += [
            Plot.of(to_inline_svg(accuracy_figure(results.curves, by), f"accuracy-by-{by}"), caption)
            for by, caption in captions.items()
        ]
    num_bytes, seconds = {}, {}
    for row in results.tables[0].rows:
        online, dealt, time = row.get("epoch_bytes"), row.get("epoch_dealer_bytes"), row.get("epoch_seconds")
        if isinstance(online, int | float) and isinstance(dealt, int | float) and online:
            num_bytes[str(row["method"])] = online + dealt
        if isinstance(time, int | float) and time:
            seconds[str(row["method"])] = time
    captions = {"bytes": "both directions and the dealer", "seconds": "training and exchange on this machine"}
    for (what, caption), by_method in zip(captions.items(), (num_bytes, seconds), strict=True):
        if by_method:
            svg = to_inline_svg(epoch_figure(by_method, what), f"epoch-{what}")
            parts.append(Plot.of(svg, f"{what.capitalize()} of an epoch, {caption}."))
    for position, (method, layers) in enumerate(results.bytes_by_layer.items()):
        svg = to_inline_svg(layers_figure(layers, 5.2), f"layers-{position}")
        parts.append(Plot.of(svg, f"{method}: where the bytes between the parties go."))
    return [Section("figures", "Figures", parts)] if parts else []


def _environment(results: SuiteResults) -> Section:
    facts = {
        "command": shlex.join(results.command),
        **{f"version of {name}": version for name, version in results.versions.items()},
        **{name: str(value) for name, value in results.hardware.items()},
    }
    return Section("environment", "Environment", [Table([], list(facts.items()), "ll", "settings")])


def _is_number(content: ResultTable, key: str) -> bool:
    return all(not isinstance(row.get(key), str) for row in content.rows)


def _cells(columns: Sequence[tuple[str, str]], row: Mapping[str, Cell]) -> list[str]:
    return [_cell(key, row.get(key)) for key, _ in columns]


def _cell(key: str, value: Cell) -> str:
    """By the end of its key (suites/tables.py)."""
    if value is None or isinstance(value, str):
        return value or MISSING
    match key.rpartition("_")[2]:
        case "bytes":
            return human_bytes(value)
        case "seconds":
            return human_seconds(value)
        case "accuracy":
            return percent(value)
        case "points":
            return f"{100 * value:+.1f}"
        case "auc":
            return f"{value:.3f}"
        case "noise":
            return f"{value:.2f}"
        case "ratio":
            return f"{value:,.1f} x"
        case "error":
            return f"{value:.1e}"
        case _:
            return f"{value:,.0f}"
