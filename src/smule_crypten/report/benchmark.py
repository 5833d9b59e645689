"""The results of a suite of comparisons: tables for the terminal, and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smule_crypten.report import phrases
from smule_crypten.report.benchmark_plots import accuracy_curve_svg, layers_svg, traffic_svg
from smule_crypten.report.formatting import MISSING, human_bytes, human_seconds, percent
from smule_crypten.report.html_markup import banner, figure, paragraph, section, table
from smule_crypten.report.html_page import page

_BASIS = "basis"


def terminal_tables(results: Mapping[str, Any]) -> RenderableType:
    """All tables with their notes."""
    parts: list[RenderableType] = []
    notice = phrases.insecurity_notice(list(results["insecure_choices"]))
    if notice:
        parts.append(Text(notice, style="bold yellow"))
    for content in results["tables"]:
        columns = [(key, heading) for key, heading in content["columns"] if key in content["on_terminal"]]
        if not columns:
            continue
        shown = Table(title=content["title"], title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for key, heading in [*columns, (_BASIS, "Basis")]:
            side: Literal["left", "right"] = "right" if _is_number(content, key) else "left"
            shown.add_column(heading, justify=side, overflow="fold", no_wrap=key == _BASIS)
        for row in content["rows"]:
            shown.add_row(*_cells([*columns, (_BASIS, "")], row))
        parts += [shown, Text(content["note"], style="dim")]
    return Group(*parts)


def render_benchmark(results: Mapping[str, Any]) -> str:
    """The whole page."""
    body = [_banners(results)]
    for position, content in enumerate(results["tables"]):
        body.append(_table_section(f"table-{position}", content))
        if position == 0:
            body.append(_figures(results))
    body.append(_environment(results))
    name = results["suite"]
    facts = [f"suite {name}", results["date"], f"commit {results['commit'] or 'unknown'}"]
    return page(
        f"SMuLe benchmark {name}", "Secure mutual learning beside its alternatives", " · ".join(facts), "".join(body)
    )


def _banners(results: Mapping[str, Any]) -> str:
    notice = phrases.insecurity_notice(list(results["insecure_choices"]))
    text = "Every figure says what it is: measured, predicted, extrapolated, or published by others."
    return (banner("warn", f"{notice}.", "Accuracy and cost are real, security is not.") if notice else "") + paragraph(
        text
    )


def _table_section(anchor: str, content: Mapping[str, Any]) -> str:
    columns = [*content["columns"], [_BASIS, "Basis"]]
    align = "".join("r" if _is_number(content, key) else "l" for key, _ in columns)
    rows = (_cells(columns, row) for row in content["rows"])
    shown = table([heading for _, heading in columns], rows, align)
    return section(anchor, content["title"], shown, paragraph(content["note"], "muted"))


def _figures(results: Mapping[str, Any]) -> str:
    parts = []
    curves = results.get("curves", [])
    if curves:
        parts.append(
            figure(accuracy_curve_svg(curves, "bytes"), "Test accuracy by bytes so far, both parties and dealer.")
        )
        parts.append(figure(accuracy_curve_svg(curves, "epoch"), "Test accuracy over the epochs."))
        parts.append(figure(accuracy_curve_svg(curves, "seconds"), "Test accuracy over the time on this machine."))
    rows = results["tables"][0]["rows"]
    by_method = {
        row["method"]: row["epoch_bytes"] + row["epoch_dealer_bytes"] for row in rows if row.get("epoch_bytes")
    }
    if by_method:
        parts.append(figure(traffic_svg(by_method), "Bytes of an epoch, both directions and the dealer."))
    for method, layers in results.get("bytes_by_layer", {}).items():
        parts.append(figure(layers_svg(layers, method), f"{method}: where the bytes between the parties go."))
    return section("figures", "Figures", *parts) if parts else ""


def _environment(results: Mapping[str, Any]) -> str:
    facts = {
        "command": " ".join(results["command"]),
        **{f"version of {name}": version for name, version in results["versions"].items()},
        **{name: str(value) for name, value in results["hardware"].items()},
    }
    return section("environment", "Environment", table([], list(facts.items()), "ll", css_class="settings"))


def _is_number(content: Mapping[str, Any], key: str) -> bool:
    return all(not isinstance(row.get(key), str) for row in content["rows"])


def _cells(columns: Sequence[Sequence[str]], row: Mapping[str, Any]) -> list[str]:
    return [_cell(key, row.get(key)) for key, _ in columns]


def _cell(key: str, value: Any) -> str:
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
        case "ratio":
            return f"{value:,.1f} x"
        case "error":
            return f"{value:.1e}"
        case _:
            return f"{value:,.0f}"
