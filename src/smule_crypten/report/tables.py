"""What a run prints at its end. Fits 80 columns and says everything without color."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from smule_crypten.report import phrases
from smule_crypten.report.formatting import MISSING, count, gain_in_points, percent
from smule_crypten.report.run_records import RunSummary
from smule_crypten.report.terminal import Column, Facts, Grid
from smule_crypten.types import PARTY_NAMES


def result_table(summary: RunSummary) -> RenderableType:
    """Accuracies, cost and fidelity of a run, from its summary."""
    notices = {
        phrases.insecurity_notice(summary.insecure_choices): "bold yellow",
        phrases.attack_notice(summary.attack): "bold yellow",
        phrases.failure(summary.status, summary.error): "bold red",
    }
    notices |= {phrases.whose_record(summary.recorded_by): "dim"}
    remarks = [Text(f"\n{text}", style=style) for text, style in notices.items() if text]
    return Group(_accuracies(summary), _facts(summary), *remarks)


def _accuracies(summary: RunSummary) -> Grid:
    rows = []
    for name in PARTY_NAMES:
        party = summary.parties[name]
        control, smule = party.control_accuracy, party.test_accuracy
        accuracies = [percent(party.standalone_test_accuracy), percent(control), percent(smule)]
        sizes = [party.architecture or MISSING, count(party.num_train)]
        rows.append([f"party {name}", *sizes, *accuracies, gain_in_points(control, smule)])
    columns = [
        Column(heading="", is_number=False),
        Column(heading="network", is_number=False),
        Column(heading="samples"),
        Column(heading="alone"),
        Column(heading="best\ncontrol"),
        Column(heading="SMuLe", is_bold=True),
        Column(heading="gain over\ncontrol"),
    ]
    return Grid(title="Test accuracy", columns=columns, rows=rows)


def _facts(summary: RunSummary) -> Facts:
    communication, pooled = summary.communication, summary.pooled_test_accuracy
    facts = {
        "classes missing": phrases.missing_classes(summary.parties),
        "pooled data": "" if pooled is None else f"{percent(pooled)} by one network trained on both parties' data",
        "attack success": phrases.attack_success(summary.attack),
        "best control": phrases.best_controls(summary.parties),
        "kept network": phrases.kept_networks(summary.parties),
        "private training": phrases.privacy(summary.parties),
        "trust": phrases.trust(summary.parties),
        "alarms": phrases.alarms(summary.parties),
        "planned": phrases.planned_exchange(summary.parties),
        "answered": phrases.budgets(summary.parties),
        "answers dropped": phrases.dropped_answers(summary.parties),
        "queries an epoch": phrases.queries_per_epoch(communication),
        "bytes an epoch": phrases.bytes_per_epoch(communication),
        "bytes in total": phrases.total_traffic(communication),
        "from the dealer": phrases.dealer_traffic(summary),
        "vs plaintext": phrases.agreement(summary.fidelity),
        "time": phrases.durations(summary.seconds),
    }
    return Facts(facts)
