"""The section of report.html on what each network is worth on test samples: all metrics, pictures, each class."""

from __future__ import annotations

from collections.abc import Mapping

from smule_crypten.pages.blocks import Block, Columns, Part, Plot, Section, Table
from smule_crypten.pages.metric_plots import confusion_svg, reliability_svg, roc_svg
from smule_crypten.report.evaluation_records import ClassRecord, EvaluationRecord
from smule_crypten.report.formatting import PHASE_TITLES, count
from smule_crypten.report.metric_text import gain_interval, gain_value, metric_title, with_interval
from smule_crypten.report.run_records import PartySummary, RunSummary

_OF_A_CLASS = ("recall", "precision", "f1", "auroc", "auprc")
_PICTURED = ("standalone", "smule")


def metrics(summary: RunSummary) -> Section:
    known = {name: party for name, party in summary.parties.items() if party.evaluations}
    if not known:
        return Section("metrics", "Metrics", ["None was recorded."])
    blocks = (_of_party(name, party, summary.pooled_evaluation) for name, party in known.items())
    return Section("metrics", "Metrics", [block for of_party in blocks for block in of_party])


def _of_party(name: str, party: PartySummary, pooled: EvaluationRecord | None) -> list[Block]:
    evaluations = party.evaluations or {}
    pictured = {network: evaluations[network] for network in _PICTURED if network in evaluations}
    by_class = [] if "smule" not in evaluations else evaluations["smule"].by_class or []
    columns = {PHASE_TITLES.get(network, network): evaluation for network, evaluation in evaluations.items()}
    columns |= {} if pooled is None else {"pooled data": pooled}
    return [
        Part(f"Party {name}", [_all_metrics(columns), _thresholds(pictured), _gains(party)]),
        Columns(_pictures(name, pictured)),
        Part(f"Each class at party {name}, with SMuLe", [_classes(by_class)]) if by_class else "",
    ]


def _all_metrics(columns: Mapping[str, EvaluationRecord]) -> Table:
    names = list(next(iter(columns.values())).metrics)
    rows = [
        [metric_title(name), *(with_interval(name, of_network.metrics.get(name)) for of_network in columns.values())]
        for name in names
    ]
    return Table(["", *columns], rows, "l" + "r" * len(columns))


def _gains(party: PartySummary) -> Block:
    """Of SMuLe over every other network, by every metric."""
    gains = party.gains or {}
    if not gains:
        return ""
    rows = []
    for name in next(iter(gains.values())):
        cells = []
        for of_network in gains.values():
            gain = of_network.get(name)
            text = gain_value(name, None if gain is None else gain.value)
            interval = gain_interval(name, gain)
            cells.append(f"{text} ({interval})" if interval else text)
        rows.append([metric_title(name), *cells])
    headings = ["gain of SMuLe over", *(PHASE_TITLES.get(network, network) for network in gains)]
    return Table(headings, rows, "l" + "r" * len(gains))


def _thresholds(pictured: Mapping[str, EvaluationRecord]) -> str:
    """Of two classes that of class 1; of several labels each."""
    texts = []
    for network, evaluation in pictured.items():
        if evaluation.thresholds is not None:
            shown = evaluation.thresholds[1:] if evaluation.confusion is not None else evaluation.thresholds
            texts.append(f"{PHASE_TITLES[network]} {', '.join(f'{value:.3f}' for value in shown)}")
    return f"Found from this probability on: {'; '.join(texts)}." if texts else ""


def _pictures(name: str, pictured: Mapping[str, EvaluationRecord]) -> list[Plot]:
    parts = []
    curves = {network: evaluation.roc for network, evaluation in pictured.items() if evaluation.roc}
    if "smule" in curves:
        parts.append(Plot.of(roc_svg(curves, name), f"ROC curves of party {name}, each class against the others."))
    bins = {network: found.reliability for network, found in pictured.items() if found.reliability is not None}
    if bins:
        caption = f"Reliability at party {name}: on the line, what is said to be probable is true as often."
        parts.append(Plot.of(reliability_svg(bins, name), caption))
    confusion = pictured["smule"].confusion if "smule" in pictured else None
    if confusion is not None:
        caption = (
            f"Confusions of party {name} with SMuLe: test samples of each class, by the class they were taken for."
        )
        parts.append(Plot.of(confusion_svg(confusion, name), caption))
    return parts


def _classes(by_class: list[ClassRecord]) -> Table:
    rows = [
        [
            of_class.name if of_class.name == f"{of_class.label}" else f"{of_class.label}: {of_class.name}",
            count(of_class.support),
            *(with_interval(name, getattr(of_class, name)) for name in _OF_A_CLASS),
        ]
        for of_class in by_class
    ]
    headings = ["class", "test samples", "recall", "precision", "F1", "AUROC", "AUPRC"]
    return Table(headings, rows, "lrrrrrr", "tall")
