"""The sections of report.html, each from the record or its summary to HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from smule_crypten.report import phrases
from smule_crypten.report.formatting import (
    CONTROL_TITLES,
    MISSING,
    PHASE_TITLES,
    count,
    flattened,
    human_bytes,
    human_seconds,
    percent,
)
from smule_crypten.report.html_markup import (
    figure,
    paragraph,
    section,
    side_by_side,
    subsection,
    table,
    tiles,
)
from smule_crypten.report.leakage import given_away
from smule_crypten.report.metric_text import gain_interval, gain_value, is_share, metric_title, with_interval
from smule_crypten.report.plots import (
    MAX_LAYERS,
    bytes_by_layer_svg,
    bytes_per_epoch_svg,
    class_counts_svg,
    curves_svg,
)
from smule_crypten.report.records import BudgetRecord, PartyRecord
from smule_crypten.report.run_records import Communication, PartySummary, RunRecord, RunSummary
from smule_crypten.report.summary import EpochTraffic, epoch_traffic, recorded_parties
from smule_crypten.types import PARTY_NAMES


def result(summary: RunSummary) -> str:
    """The run's metric of each party, with intervals."""
    metric, rows = summary.metric, []
    for name in PARTY_NAMES:
        party = summary.parties[name]
        networks = (party.figure("standalone", metric), party.best_control(metric), party.figure("smule", metric))
        figures = [with_interval(metric, figure) for figure in networks]
        sizes = [count(party.num_parameters), count(party.num_train)]
        rows.append([f"party {name}", *figures, _gained(party, metric), party.architecture or MISSING, *sizes])
    headings = ["", "alone", "best control", "SMuLe", "gain over control", "network", "parameters", "training samples"]
    pooled = summary.pooled_figure(metric)
    text = f"One network trained on the pooled data of both parties reaches {with_interval(metric, pooled)}."
    private, kept = phrases.privacy(summary.parties), phrases.kept_networks(summary.parties)
    return section(
        "result",
        "Result",
        _tiles(summary),
        paragraph(f"Test {metric_title(metric)}, with 95 % intervals where they were recorded:"),
        table(headings, rows, "lrrrrlrr", css_class="headline"),
        paragraph(text) if pooled is not None else "",
        paragraph(f"Kept network: {kept}.") if kept else "",
        paragraph(f"Differentially private training: {private}.") if private else "",
    )


def controls(summary: RunSummary) -> str:
    """What each party reaches without the other one, by any training that was tried."""
    parties, metric = summary.parties, summary.metric
    if not any(parties[name].controls for name in PARTY_NAMES):
        return section("controls", "Local controls", paragraph("None was trained."))
    rows = []
    for name in PARTY_NAMES:
        party = parties[name]
        # SMuLe stands before the controls, so that a phone shows it without scrolling.
        figures = [party.figure(network, metric) for network in ("standalone", "smule", *CONTROL_TITLES)]
        rows.append([f"party {name}", *(with_interval(metric, figure) for figure in figures)])
    headings = ["", "alone", "SMuLe", *CONTROL_TITLES.values()]
    best = phrases.best_controls(summary)
    return section(
        "controls",
        "Local controls",
        table(headings, rows, "l" + "r" * (len(headings) - 1)),
        paragraph(f"Best control: {best}.") if best else "",
    )


def curves(record: RunRecord) -> str:
    metric = record.facts.metric
    figures = [
        figure(curves_svg(record.epochs, name, metric), f"Test {metric_title(metric)} of party {name} over the epochs.")
        for name in recorded_parties(record)
    ]
    return section("curves", "Learning curves", side_by_side(*figures))


def communication(record: RunRecord, summary: RunSummary) -> str:
    numbers = summary.communication
    total, from_dealer = phrases.total_traffic(numbers), phrases.dealer_traffic(summary)
    return section(
        "communication",
        "Communication",
        paragraph(f"Queries: {phrases.queries_per_epoch(numbers)}. Bytes: {phrases.bytes_per_epoch(numbers)}."),
        paragraph(f"Public questions: {public}.") if (public := phrases.public_questions(summary)) else "",
        paragraph(f"Joint head: {head}.") if (head := phrases.joint_head(summary.parties)) else "",
        paragraph(f"In total: {total}.") if total else "",
        paragraph(f"From the dealer: {from_dealer}.") if from_dealer else "",
        _per_epoch(epoch_traffic(record)),
        _by_layer_and_phase(numbers),
    )


def fidelity(record: RunRecord, summary: RunSummary) -> str:
    overall = summary.fidelity
    if overall is None:
        text = "Not measured: only a simulation that sees both sides can compare secure with plaintext logits."
        return section("fidelity", "Fidelity", paragraph(text))
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
    return section(
        "fidelity",
        "Fidelity",
        paragraph(
            f"Over {count(overall.num_samples)} answers the secure logits differ from plaintext PyTorch by "
            f"{phrases.logit_error(overall)} at most; top-1 agrees on {percent(overall.top1_agreement, 2)}."
        ),
        table(headings, rows, "llrrr", css_class="tall"),
    )


def data_split(record: RunRecord) -> str:
    known = {name: party.class_counts for name, party in record.parties.items()}
    if not known:
        return section("data", "Data split", paragraph("Not recorded."))
    rows = []
    for name, party in record.parties.items():
        missing = ", ".join(map(str, party.missing_classes or ())) or "none"
        rows.append([f"party {name}", missing, count(party.num_train), count(party.num_test)])
    num_classes = max(map(len, known.values()))
    class_rows = [[str(label), *(count(values[label]) for values in known.values())] for label in range(num_classes)]
    return section(
        "data",
        "Data split",
        table(["", "classes without a sample", "training samples", "test samples"], rows, "llrr"),
        side_by_side(
            figure(class_counts_svg(known), "Training samples of each class at each party."),
            table(
                ["class", *(f"party {name}" for name in known)], class_rows, "l" + "r" * len(known), css_class="tall"
            ),
        ),
    )


def disclosures(record: RunRecord) -> str:
    """Of whom it is known: a party that recorded the run alone does not see the other one's ledger."""
    ledgers = [_ledger(name, record.parties.get(name), record.facts.task) for name in recorded_parties(record)]
    text = "What each network answered to the other party. Every answer tells its receiver something about the network."
    return section("disclosures", "Disclosures", paragraph(text), side_by_side(*ledgers))


def configuration(record: RunRecord) -> str:
    notes = [paragraph(f"Data: {note}.") for note in record.facts.data_notes]
    return section("configuration", "Configuration", *notes, _settings(record.settings))


def environment(record: RunRecord) -> str:
    facts: dict[str, Mapping[str, JsonValue]] = {"Versions": record.facts.versions, "Hardware": record.facts.hardware}
    parts = [subsection(title, _settings(values)) for title, values in facts.items()]
    return section("environment", "Versions and hardware", side_by_side(*parts))


def _gained(party: PartySummary, metric: str) -> str:
    """Over the best control: '+17.6 (+13.1 to +22.0)', or '-1.8 (no clear gain)'."""
    best = party.best_local_control
    gain = None if best is None else party.gain(best.name, metric)
    text, interval = gain_value(metric, None if gain is None else gain.value), gain_interval(metric, gain)
    return f"{text} ({interval})" if interval else text


def _tiles(summary: RunSummary) -> str:
    metric, items = summary.metric, []
    for name in PARTY_NAMES:
        party = summary.parties[name]
        best, smule = party.best_local_control, party.figure("smule", metric)
        points = " points" if is_share(metric) else ""
        remark = "" if best is None else f"{_gained(party, metric)}{points} over {PHASE_TITLES[best.name]}"
        if summary.recorded_by in (None, name):
            items.append((f"party {name} with SMuLe", with_interval(metric, smule), remark))
    numbers, seconds = summary.communication, summary.seconds
    per_query = numbers.bytes_per_query
    remark = "" if per_query is None else f"{human_bytes(per_query)} a query"
    items.append(("between the parties", human_bytes(numbers.bytes_total), remark))
    remark = "" if seconds.exchange is None else f"exchange {human_seconds(seconds.exchange)}"
    items.append(("time", human_seconds(seconds.total), remark))
    return tiles(items)


def _per_epoch(traffic: list[EpochTraffic]) -> str:
    if not traffic:
        return paragraph("No SMuLe epoch was finished.")
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
    svg = bytes_per_epoch_svg([epoch.bytes_total for epoch in traffic])
    return side_by_side(
        subsection("By epoch", figure(svg, "Bytes between the parties in each SMuLe epoch.")),
        subsection(
            "Exact counts",
            table(["epoch", "queries", "bytes", "rounds", "dealer bytes"], rows, "lrrrr", css_class="tall"),
        ),
    )


def _by_layer_and_phase(numbers: Communication) -> str:
    layers, phases = numbers.bytes_by_layer, numbers.bytes_by_phase
    by_phase = subsection("By phase", _shares("phase", phases)) if phases else ""
    if not layers:
        return by_phase
    caption = f"Bytes of each layer over the whole run, the costliest first; {MAX_LAYERS} layers at most."
    return side_by_side(
        subsection("By layer", figure(bytes_by_layer_svg(layers), caption)),
        subsection("Exact counts by layer", _shares("layer", layers), by_phase),
    )


def _shares(heading: str, bytes_by_name: Mapping[str, int]) -> str:
    total = sum(bytes_by_name.values())
    rows = [
        [name, count(num_bytes), percent(num_bytes / total if total else None)]
        for name, num_bytes in bytes_by_name.items()
    ]
    return table([heading, "bytes", "share"], rows, "lrr", css_class="tall")


def _ledger(name: str, party: PartyRecord | None, task: str) -> str:
    title = f"Answered by party {name}"
    if party is None or not party.disclosures:
        return subsection(title, paragraph("Nothing."))
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
    return subsection(
        title,
        paragraph(
            f"{count(total)} answers in {count(len({entry.query_id for entry in party.disclosures}))} exchanges."
        ),
        "" if party.budget is None else paragraph(_limits(party.budget, task)),
        paragraph(f"What that tells about a network depends on it: {given_away(total, task)}."),
        table(["query", "to", "samples", "model step"], rows, "llrr", css_class="tall"),
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


def _settings(values: Mapping[str, JsonValue]) -> str:
    rows = [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in flattened(values)]
    return table([], rows, "ll", css_class="settings")
