"""What a run prints at its end. Fits 80 columns and says everything without color."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from smule_crypten.report import phrases
from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.formatting import count
from smule_crypten.report.metric_text import (
    gain_interval,
    gain_value,
    metric_interval,
    metric_title,
    metric_value,
    with_interval,
)
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import RunSummary
from smule_crypten.report.story import in_words
from smule_crypten.report.terminal import Column, Facts, Grid
from smule_crypten.types import PARTY_NAMES


def result_table(summary: RunSummary, epochs: Sequence[EpochRecord] = ()) -> RenderableType:
    """Figures, cost and fidelity of a run, from its summary; epochs say more of why a party did not gain."""
    notices = {
        phrases.insecurity_notice(summary.insecure_choices): "bold yellow",
        phrases.attack_notice(summary.attack): "bold yellow",
        phrases.failure(summary.status, summary.error): "bold red",
    }
    notices |= {phrases.whose_record(summary.recorded_by): "dim"}
    remarks = [Text(f"\n{text}", style=style) for text, style in notices.items() if text]
    learned = [Text(f"{sentence}\n") for sentence in in_words(summary, epochs)]
    return Group(_figures(summary), *learned, _facts(summary), *_all_metrics(summary), *remarks)


def _figures(summary: RunSummary) -> Grid:
    """Of each party by the run's metric, each with its interval below."""
    metric = summary.metric
    rows = []
    for name in PARTY_NAMES:
        party = summary.parties[name]
        best = party.best_local_control
        gain = None if best is None else party.gain(best.name, metric)
        figures = (party.figure("standalone", metric), party.best_control(metric), party.figure("smule", metric))
        gained = _stacked(gain_value(metric, None if gain is None else gain.value), gain_interval(metric, gain))
        samples = "" if party.num_train is None else f"{count(party.num_train)} samples"
        about = _stacked(f"party {name}", party.architecture or "", samples)
        rows.append([about, *(_figure(metric, figure) for figure in figures), gained])
    columns = [
        Column(heading="", is_number=False),
        Column(heading="alone"),
        Column(heading="best\ncontrol"),
        Column(heading="SMuLe", is_bold=True),
        Column(heading="gain over\ncontrol"),
    ]
    has_intervals = any(party.evaluations for party in summary.parties.values())
    title = f"Test {metric_title(metric)}" + (", with 95 % intervals" if has_intervals else "")
    return Grid(title=title, columns=columns, rows=rows)


def _figure(metric: str, figure: MetricRecord | None) -> str:
    return _stacked(metric_value(metric, None if figure is None else figure.value), metric_interval(metric, figure))


def _stacked(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _all_metrics(summary: RunSummary) -> list[RenderableType]:
    """Every metric of SMuLe, by party; nothing where they were not recorded."""
    evaluations = {name: (party.evaluations or {}).get("smule") for name, party in summary.parties.items()}
    known = {name: evaluation for name, evaluation in evaluations.items() if evaluation is not None}
    if not known:
        return []
    metrics = list(next(iter(known.values())).metrics)
    cells = (
        [with_interval(metric, evaluation.metrics.get(metric)) for evaluation in known.values()] for metric in metrics
    )
    rows = [[metric_title(metric), *row] for metric, row in zip(metrics, cells, strict=True)]
    columns = [Column(heading="", is_number=False), *(Column(heading=f"party {name}") for name in known)]
    return [Text(), Grid(title="All metrics with SMuLe", columns=columns, rows=rows)]


def _facts(summary: RunSummary) -> Facts:
    communication = summary.communication
    facts = {
        "classes missing": phrases.missing_classes(summary.parties),
        "pooled data": phrases.pooled(summary),
        "attack success": phrases.attack_success(summary.attack),
        "best control": phrases.best_controls(summary),
        "kept network": phrases.kept_networks(summary.parties),
        "private training": phrases.privacy(summary.parties),
        "trust": phrases.trust(summary),
        "alarms": phrases.alarms(summary.parties),
        "planned": phrases.planned_exchange(summary.parties),
        "answered": phrases.budgets(summary.parties, summary.task),
        "public questions": phrases.public_questions(summary),
        "joint head": phrases.joint_head(summary.parties),
        "answers dropped": phrases.dropped_answers(summary.parties),
        "queries per epoch": phrases.queries_per_epoch(communication),
        "bytes per epoch": phrases.bytes_per_epoch(communication),
        "bytes in total": phrases.total_traffic(communication),
        "from the dealer": phrases.dealer_traffic(summary),
        "vs plaintext": phrases.agreement(summary.fidelity),
        "time": phrases.durations(summary.seconds),
    }
    return Facts(facts)
