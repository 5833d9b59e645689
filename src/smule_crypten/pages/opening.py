"""What a page of a run begins with: who gained what, what it cost, what was disclosed, and two plots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from smule_crypten.pages.blocks import Banner, Columns, Plot
from smule_crypten.pages.plots import learning_svg, traffic_svg
from smule_crypten.report import phrases
from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.formatting import count, human_bytes, human_seconds, task_title
from smule_crypten.report.metric_text import gain_value, is_share, metric_title, metric_value
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import RunRecord, RunSummary
from smule_crypten.report.story import in_words
from smule_crypten.report.summary import epoch_traffic, recorded_parties
from smule_crypten.types import OTHER_PARTY, PARTY_NAMES


@dataclass(frozen=True, kw_only=True)
class Opening:
    """sentences: three. advice: what was learned of missing classes, and one sentence for each party that did not gain.

    plots: of learning and of traffic.
    """

    banners: Sequence[Banner]
    sentences: Sequence[str]
    advice: Sequence[str]
    plots: Columns


def opening(record: RunRecord, summary: RunSummary) -> Opening:
    """Of a run that goes on, or of one that has ended.

    Args:
        record: its facts and epochs are looked at.
        summary: of the same run.
    """
    return Opening(
        banners=banners(summary),
        sentences=[unbroken(say(record, summary)) for say in (_gains, _cost, _disclosed)],
        advice=[unbroken(sentence) for sentence in in_words(summary, record.epochs)],
        plots=Columns([_learning(record), _traffic(record)]),
    )


def unbroken(text: str) -> str:
    """No line ends between a figure and its unit."""
    return re.sub(r"(?<=\d) (?=%|points|[kMGT]?B\b|s\b|min\b)", "\N{NO-BREAK SPACE}", text)


def banners(summary: RunSummary) -> list[Banner]:
    """Whatever nobody may overlook."""
    notice = phrases.insecurity_notice(summary.insecure_choices)
    attack, success = phrases.attack_notice(summary.attack), phrases.attack_success(summary.attack)
    alarms, failure = phrases.alarms(summary.parties), phrases.failure(summary.status, summary.error)
    found = [
        Banner("warn", f"{notice}.", "Accuracy and cost are real, security is not.") if notice else None,
        Banner("warn", f"{attack}.", f"Attack success: {success or 'not aimed at a class'}.") if attack else None,
        Banner("bad", "Alarm: answers that an honest peer does not give.", alarms) if alarms else None,
        Banner("bad", "This run is not complete.", failure) if failure and summary.status != "running" else None,
    ]
    return [banner for banner in found if banner is not None]


def _number(number: int | None, what: str) -> str:
    return f"{count(number)} {what}{'s' * (number != 1)}"


def _gains(record: RunRecord, summary: RunSummary) -> str:
    said = (_reached(name, summary) or _so_far(name, record) for name in recorded_parties(record))
    parts = [part for part in said if part]
    return f"By test {metric_title(summary.metric)}, {'; '.join(parts)}." if parts else "No epoch is finished yet."


def _reached(name: str, summary: RunSummary) -> str:
    """At the end; empty before it."""
    metric, party = summary.metric, summary.parties[name]
    smule, alone = party.figure("smule", metric), party.figure("standalone", metric)
    if smule is None:
        return ""
    reached = f"party {name} reaches {metric_value(metric, smule.value)} with party {OTHER_PARTY[name]}’s answers"
    if alone is None:
        return reached
    compared = _compared(metric, party.gain("standalone", metric))
    return f"{reached}, {compared} alone ({metric_value(metric, alone.value)})"


def _compared(metric: str, gain: MetricRecord | None) -> str:
    if gain is None or gain.value is None:
        return "beside"
    if gain.low is not None and not gain.is_clear:
        return "which is not clearly different from"
    if gain.value == 0:
        return "the same as"
    size = gain_value(metric, abs(gain.value)).removeprefix("+")
    return f"{size}{' points' if is_share(metric) else ''} {'better' if gain.value > 0 else 'worse'} than"


def _so_far(name: str, record: RunRecord) -> str:
    metric, num_epochs = record.facts.metric, record.facts.epochs
    smule, alone = (_last(record, name, phase) for phase in ("smule", "standalone"))
    last = smule or alone
    if last is None:
        return ""
    at = "is at" if record.status == "running" else "came to"
    figure = f"{metric_value(metric, last.test_figure)} after epoch {last.epoch} of {num_epochs}"
    if smule is None:
        return f"party {name}, still alone, {at} {figure}"
    beside = "" if alone is None else f" (alone it came to {metric_value(metric, alone.test_figure)})"
    return f"party {name}, with party {OTHER_PARTY[name]}’s answers, {at} {figure}{beside}"


def _last(record: RunRecord, party: str, phase: str) -> EpochRecord | None:
    own = [epoch for epoch in record.epochs if (epoch.party, epoch.phase) == (party, phase)]
    return max(own, key=lambda epoch: epoch.epoch, default=None)


def _cost(record: RunRecord, summary: RunSummary) -> str:
    numbers, seconds = summary.communication, summary.seconds
    dealer = phrases.dealer_traffic(summary)
    from_dealer = f", and {dealer} came from the dealer" if dealer else ""
    if numbers.bytes_total is None:
        traffic = epoch_traffic(record)
        rounds = _number(sum(epoch.rounds for epoch in traffic), "round")
        until = "So far" if summary.status == "running" else "Before it ended"
        return f"{until} the exchanges took {human_bytes(sum(numbers.bytes_per_epoch))} in {rounds}."
    per_query = "" if numbers.bytes_per_query is None else f", {human_bytes(numbers.bytes_per_query)} a question"
    time = "" if seconds.exchange is None else f"; the exchanges took {human_seconds(seconds.exchange)}"
    whole = "" if seconds.total is None or not time else f" of {human_seconds(seconds.total)}"
    return (
        f"It cost {human_bytes(numbers.bytes_total)} in {_number(numbers.rounds_total, 'round')} between the parties"
        f"{per_query}{from_dealer}{time}{whole}."
    )


def _disclosed(record: RunRecord, summary: RunSummary) -> str:
    answered = _answered(record, summary)
    told = [
        f"party {name}’s network answered {_number(number, 'question')} of party {OTHER_PARTY[name]}"
        for name, number in answered.items()
        if number
    ]
    head = next((party.joint_head for party in summary.parties.values() if party.joint_head), None)
    if head is not None:
        told.append(
            "both know the weights of the joint head under noise"
            if head.is_revealed
            else "the joint head answered both parties"
        )
    if not told:
        so_far = " so far" if summary.status == "running" else ""
        return f"Nothing was disclosed{so_far}: no network answered a question."
    if summary.insecure_choices:
        return f"Disclosed: {' and '.join(told)}; with these settings the rest was not protected either."
    return (
        f"Disclosed: {' and '.join(told)}; each answer tells its receiver something about the network that gave it. "
        "Samples and weights stayed with their owners."
    )


def _answered(record: RunRecord, summary: RunSummary) -> dict[str, int]:
    """Questions that each network answered, public ones with them. What one party asked, the other one answered."""
    answered = dict.fromkeys(PARTY_NAMES, 0)
    for name in recorded_parties(record):
        party = summary.parties[name]
        own = [epoch for epoch in record.epochs if epoch.party == name]
        made = (party.queries_made, party.public_made)
        given = (party.queries_answered, party.public_answered)
        if made[0] is None or given[0] is None:
            made = (sum(epoch.queries_made for epoch in own), sum(epoch.public_made for epoch in own))
            given = (sum(epoch.queries_answered for epoch in own), sum(epoch.public_answered for epoch in own))
        answered[name] = max(answered[name], sum(number or 0 for number in given))
        answered[OTHER_PARTY[name]] = max(answered[OTHER_PARTY[name]], sum(number or 0 for number in made))
    return answered


def _learning(record: RunRecord) -> Plot:
    metric, parties = record.facts.metric, recorded_parties(record)
    tasks = [(party, phase) for party in parties for phase in ("standalone", "smule")] + [("pooled", "pooled")]
    lines = "; ".join(line for task in tasks if (line := _line_in_words(record, *task)))
    return Plot.of(
        learning_svg(record.epochs, parties, metric, record.facts.epochs),
        f"Test {metric_title(metric)} after each epoch: dashed alone, solid with the other party’s answers.",
        f"Line plot of test {metric_title(metric)} by epoch. {lines or 'No epoch yet'}.",
    )


def _line_in_words(record: RunRecord, party: str, phase: str) -> str:
    """'a SMuLe: 10.0 % after epoch 1, 51.1 % after epoch 6'."""
    own = [epoch for epoch in record.epochs if (epoch.party, epoch.phase) == (party, phase)]
    if not own:
        return ""
    ends = {epoch.epoch: epoch for epoch in sorted(own, key=lambda epoch: epoch.epoch)}
    shown = [ends[number] for number in dict.fromkeys((min(ends), max(ends)))]
    figures = (f"{metric_value(record.facts.metric, epoch.test_figure)} after epoch {epoch.epoch}" for epoch in shown)
    return f"{task_title(party, phase)}: {', '.join(figures)}"


def _traffic(record: RunRecord) -> Plot:
    traffic = epoch_traffic(record)
    asked = sum(epoch.queries > 0 for epoch in traffic)
    after = f"after {_number(asked, 'exchange')}"
    whole = human_bytes(sum(epoch.bytes_total for epoch in traffic))
    return Plot.of(
        traffic_svg(traffic, record.facts.epochs),
        f"Bytes between the parties so far, {after}.",
        f"Step plot of the bytes between the parties so far: {whole} {after} in {_number(len(traffic), 'epoch')}.",
    )
