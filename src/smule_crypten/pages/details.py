"""The sections of report.html below its opening, each from the record or its summary."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from smule_crypten.pages.blocks import Block, Columns, Part, Plot, Section, Table
from smule_crypten.pages.plots import MAX_LAYERS, bytes_by_layer_svg, class_counts_svg, controls_svg
from smule_crypten.report import phrases
from smule_crypten.report.formatting import CONTROL_TITLES, MISSING, count, flattened, percent
from smule_crypten.report.leakage import given_away
from smule_crypten.report.metric_text import gain_interval, gain_value, metric_title, with_interval
from smule_crypten.report.records import BudgetRecord, PartyRecord
from smule_crypten.report.run_records import Communication, PartySummary, RunRecord, RunSummary
from smule_crypten.report.summary import EpochTraffic, epoch_traffic, recorded_parties
from smule_crypten.types import PARTY_NAMES


def figures(summary: RunSummary) -> list[Block]:
    """The run's metric of each party, with intervals: what stands below the plots, for all to see."""
    metric, rows = summary.metric, []
    for name in PARTY_NAMES:
        party = summary.parties[name]
        # SMuLe stands before the control, so that a phone shows it without scrolling.
        networks = (party.figure("standalone", metric), party.figure("smule", metric), party.best_control(metric))
        rows.append([f"party {name}", *(with_interval(metric, figure) for figure in networks), _gained(party, metric)])
    headings = ["", "alone", "SMuLe", "best control", "gain over control"]
    private, kept = phrases.privacy(summary.parties), phrases.kept_networks(summary.parties)
    pooled, whose = phrases.pooled(summary), phrases.whose_record(summary.recorded_by)
    return [
        Table(headings, rows, "lrrrr", "headline"),
        f"Test {metric_title(metric)}, with 95 % intervals where they were recorded.",
        f"{whose.capitalize()}." if whose else "",
        f"Pooled data: {pooled}." if pooled else "",
        f"Kept network: {kept}." if kept else "",
        f"Differentially private training: {private}." if private else "",
    ]


def controls(record: RunRecord, summary: RunSummary) -> Section:
    """What each party reaches without the other one, by any training that was tried."""
    parties, metric = summary.parties, summary.metric
    if not any(parties[name].controls for name in PARTY_NAMES):
        return Section("controls", "Local controls", ["None was trained."])
    rows = []
    for name in PARTY_NAMES:
        party = parties[name]
        shown = [party.figure(network, metric) for network in ("standalone", "smule", *CONTROL_TITLES)]
        rows.append([f"party {name}", *(with_interval(metric, figure) for figure in shown)])
    headings = ["", "alone", "SMuLe", *CONTROL_TITLES.values()]
    best = phrases.best_controls(summary)
    plots = [
        Plot.of(
            controls_svg(record.epochs, name, metric, summary.epochs),
            f"Test {metric_title(metric)} of party {name} and its controls after each epoch.",
        )
        for name in recorded_parties(record)
    ]
    return Section(
        "controls",
        "Local controls",
        [
            Table(headings, rows, "l" + "r" * (len(headings) - 1)),
            f"Best control: {best}." if best else "",
            Columns(plots),
        ],
    )


def communication(record: RunRecord, summary: RunSummary) -> Section:
    numbers = summary.communication
    total, from_dealer = phrases.total_traffic(numbers), phrases.dealer_traffic(summary)
    public, head = phrases.public_questions(summary), phrases.joint_head(summary.parties)
    return Section(
        "communication",
        "Communication",
        [
            f"Queries: {phrases.queries_per_epoch(numbers)}. Bytes: {phrases.bytes_per_epoch(numbers)}.",
            f"Public questions: {public}." if public else "",
            f"Joint head: {head}." if head else "",
            f"In total: {total}." if total else "",
            f"From the dealer: {from_dealer}." if from_dealer else "",
            Columns([*_per_epoch(epoch_traffic(record)), *_by_phase(numbers)]),
            *_by_layer(numbers),
        ],
    )


def fidelity(record: RunRecord, summary: RunSummary) -> Section:
    overall = summary.fidelity
    if overall is None:
        text = "Not measured: only a simulation that sees both sides can compare secure with plaintext logits."
        return Section("fidelity", "Fidelity", [text])
    rows = [
        [
            f"{check.epoch}",
            f"party {check.data_owner}",
            count(check.num_samples),
            phrases.logit_error(check),
            percent(check.top1_agreement, 2),
        ]
        for check in record.fidelity
    ]
    headings = ["epoch", "asked by", "samples", "largest logit error", "top-1 agreement"]
    text = (
        f"Over {count(overall.num_samples)} answers the secure logits differ from plaintext PyTorch by "
        f"{phrases.logit_error(overall)} at most; top-1 agrees on {percent(overall.top1_agreement, 2)}."
    )
    return Section("fidelity", "Fidelity", [text, Table(headings, rows, "llrrr", "tall")])


def data_split(record: RunRecord, summary: RunSummary) -> Section:
    known = {name: party.class_counts for name, party in record.parties.items()}
    if not known:
        return Section("data", "Data and networks", ["Not recorded."])
    rows = []
    for name, party in record.parties.items():
        missing = ", ".join(map(str, party.missing_classes or ())) or "none"
        sizes = [count(party.num_train), count(party.num_test), count(party.num_parameters)]
        rows.append([f"party {name}", missing, party.architecture or MISSING, *sizes])
    num_classes = max(map(len, known.values()))
    class_rows = [[str(label), *(count(values[label]) for values in known.values())] for label in range(num_classes)]
    headings = ["", "classes without a sample", "network", "training samples", "test samples", "parameters"]
    by_class: list[Block] = [
        Plot.of(class_counts_svg(known), "Training samples of each class at each party."),
        Table(["class", *(f"party {name}" for name in known)], class_rows, "l" + "r" * len(known), "tall"),
    ]
    return Section(
        "data",
        "Data and networks",
        [Table(headings, rows, "lllrrr"), *([Columns(by_class)] if summary.task != "regression" else [])],
    )


def disclosures(record: RunRecord) -> Section:
    """Of whom it is known: a party that recorded the run alone does not see the other one's ledger."""
    ledgers = [_ledger(name, record.parties.get(name), record.facts.task) for name in recorded_parties(record)]
    text = "What each network answered to the other party. Every answer tells its receiver something about the network."
    return Section("disclosures", "Disclosures", [text, Columns(ledgers)])


def configuration(record: RunRecord) -> Section:
    notes = [f"Data: {note}." for note in record.facts.data_notes]
    return Section("configuration", "Configuration", [*notes, _settings(record.settings)])


def environment(record: RunRecord) -> Section:
    facts: dict[str, Mapping[str, JsonValue]] = {"Versions": record.facts.versions, "Hardware": record.facts.hardware}
    parts = [Part(title, [_settings(values)]) for title, values in facts.items()]
    return Section("environment", "Versions and hardware", [Columns(parts)])


def _gained(party: PartySummary, metric: str) -> str:
    """Over the best control: '+17.6 (+13.1 to +22.0)', or '-1.8 (no clear gain)'."""
    best = party.best_local_control
    gain = None if best is None else party.gain(best.name, metric)
    text, interval = gain_value(metric, None if gain is None else gain.value), gain_interval(metric, gain)
    return f"{text} ({interval})" if interval else text


def _per_epoch(traffic: list[EpochTraffic]) -> list[Block]:
    if not traffic:
        return ["No SMuLe epoch was finished."]
    rows = [
        [
            f"{epoch.epoch}",
            count(epoch.queries),
            count(epoch.bytes_total),
            count(epoch.rounds),
            count(epoch.dealer_bytes),
        ]
        for epoch in traffic
    ]
    return [Part("By epoch", [Table(["epoch", "queries", "bytes", "rounds", "dealer bytes"], rows, "lrrrr", "tall")])]


def _by_phase(numbers: Communication) -> list[Block]:
    return [Part("By phase", [_shares("phase", numbers.bytes_by_phase)])] if numbers.bytes_by_phase else []


def _by_layer(numbers: Communication) -> list[Block]:
    layers = numbers.bytes_by_layer
    if not layers:
        return []
    caption = f"Bytes of each layer over the whole run, the costliest first; {MAX_LAYERS} layers at most."
    drawn = Plot.of(bytes_by_layer_svg(layers), caption)
    return [Columns([Part("By layer", [drawn]), Part("Exact counts by layer", [_shares("layer", layers)])])]


def _shares(heading: str, bytes_by_name: Mapping[str, int]) -> Table:
    total = sum(bytes_by_name.values())
    rows = [
        [name, count(num_bytes), percent(num_bytes / total if total else None)]
        for name, num_bytes in bytes_by_name.items()
    ]
    return Table([heading, "bytes", "share"], rows, "lrr", "tall")


def _ledger(name: str, party: PartyRecord | None, task: str) -> Part:
    title = f"Answered by party {name}"
    if party is None or not party.disclosures:
        return Part(title, ["Nothing."])
    rows = [
        [
            str(entry.query_id),
            f"party {entry.to_party}",
            f"{count(entry.num_samples)}{' public' if entry.public else ''}",
            count(entry.model_step),
        ]
        for entry in party.disclosures
    ]
    total = sum(entry.num_samples for entry in party.disclosures)
    return Part(
        title,
        [
            f"{count(total)} answers in {count(len({entry.query_id for entry in party.disclosures}))} exchanges.",
            "" if party.budget is None else _limits(party.budget, task),
            f"What that tells about a network depends on it: {given_away(total, task)}.",
            Table(["query", "to", "samples", "model step"], rows, "llrr", "tall"),
        ],
    )


def _limits(budget: BudgetRecord, task: str) -> str:
    mu = "" if budget.mu is None else f" (mu = {budget.mu:g})"
    return (
        f"{count(budget.charged)} charged, repeated attempts with them, {count(budget.charged_before)} before "
        f"this run; {count(budget.left)} of {count(budget.limit)} left. {count(budget.repeats_used)} of "
        f"{count(budget.repeats_allowed)} repeats used. Noise of standard deviation "
        f"{phrases.noise(budget.logit_noise, task)} on each {'value' if task == 'regression' else 'logit'} hides its "
        f"rounding in so many answers{mu}."
    )


def _settings(values: Mapping[str, JsonValue]) -> Table:
    rows = [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in flattened(values)]
    return Table([], rows, "ll", "settings")
