"""What a run prints at its end. Fits 80 columns and says everything without color."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smule_crypten.report import phrases
from smule_crypten.report.formatting import MISSING, control_accuracy, count, gain_in_points, percent
from smule_crypten.types import PARTY_NAMES


def result_table(summary: dict[str, Any]) -> RenderableType:
    """Accuracies, cost and fidelity of a run, from its summary."""
    notices = {
        phrases.insecurity_notice(summary["insecure_choices"]): "bold yellow",
        phrases.attack_notice(summary["attack"]): "bold yellow",
        phrases.failure(summary): "bold red",
    }
    notices |= {phrases.whose_record(summary["recorded_by"]): "dim"}
    remarks = [Text(f"\n{text}", style=style) for text, style in notices.items() if text]
    return Group(_accuracies(summary), _facts(summary), *remarks)


def _accuracies(summary: dict[str, Any]) -> Table:
    table = Table(title="Test accuracy", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    for heading in ("samples", "alone", "best\ncontrol", "SMuLe", "gain over\ncontrol"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in PARTY_NAMES:
        party = summary["parties"][name]
        control, smule = control_accuracy(party), party["test_accuracy"]
        table.add_row(
            f"party {name}",
            Text(party["architecture"] or MISSING),
            count(party["num_train"]),
            percent(party["standalone_test_accuracy"]),
            percent(control),
            Text(percent(smule), style="bold"),
            gain_in_points(control, smule),
        )
    return table


def _facts(summary: dict[str, Any]) -> Table:
    communication, pooled = summary["communication"], summary["pooled_test_accuracy"]
    facts = {
        "classes missing": phrases.missing_classes(summary["parties"]),
        "pooled data": "" if pooled is None else f"{percent(pooled)} by one network trained on both parties' data",
        "attack success": phrases.attack_success(summary["attack"]),
        "best control": phrases.best_controls(summary["parties"]),
        "kept network": phrases.kept_networks(summary["parties"]),
        "private training": phrases.privacy(summary["parties"]),
        "trust": phrases.trust(summary["parties"]),
        "alarms": phrases.alarms(summary["parties"]),
        "planned": phrases.planned_exchange(summary["parties"]),
        "answered": phrases.budgets(summary["parties"]),
        "answers dropped": phrases.dropped_answers(summary["parties"]),
        "queries an epoch": phrases.queries_per_epoch(communication),
        "bytes an epoch": phrases.bytes_per_epoch(communication),
        "bytes in total": phrases.total_traffic(communication),
        "from the dealer": phrases.dealer_traffic(summary),
        "secure vs plaintext": phrases.agreement(summary["fidelity"]),
        "time": phrases.durations(summary["seconds"]),
    }
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts.items():
        if text:
            table.add_row(name, text)
    return table
