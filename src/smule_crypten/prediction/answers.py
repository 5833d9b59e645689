"""What smule-predict and smule-estimate print at their end. Fits 80 columns and says everything without color."""

from __future__ import annotations

from rich.console import Group, RenderableType

from smule_crypten.prediction.answer_records import (
    AskedRecord,
    CombinationRecord,
    EstimateRecord,
    JudgedRecord,
    PredictionRecord,
    WorthRecord,
)
from smule_crypten.report.formatting import count, human_bytes, percent
from smule_crypten.report.terminal import Column, Facts, Grid

_OUTPUTS = {"accuracy": "class", "share of labels right": "label", "mean absolute error": "target"}
"""What a task judges its answers by -> what its outputs are."""


def prediction_table(record: AskedRecord) -> RenderableType:
    queries = f"{count(record.queries_made)} made, {count(record.queries_answered)} answered"
    cost = {"queries": queries, "answers left": _left(record), "bytes": _traffic(record)}
    if record.answers_dropped:
        cost["dropped"] = f"{count(record.answers_dropped)} answers beyond the other party's stated bound"
    if not isinstance(record, PredictionRecord):
        return Facts(cost)
    combined = _combination(record.combination)
    facts = Facts({"predicted": f"{count(record.num_images)} images", "combined": combined, **cost})
    judged = record.validation
    return facts if judged is None else Group(_accuracies(judged), facts)


def estimate_table(estimate: EstimateRecord) -> RenderableType:
    worth, run = estimate.worth, estimate.run
    low, high = worth.interval
    total = run.problem or "not known in advance without exchange.num_queries or exchange.budget_mb"
    if run.num_exchanges is not None and run.run_bytes is not None and run.num_queries is not None:
        total = f"at most {human_bytes(run.run_bytes)} of both parties together, "
        of_a, of_b = run.num_queries
        total += f"{of_a} queries of party a and {of_b} of party b in each of {run.num_exchanges} exchanges"
        total += f", {human_bytes(run.head_bytes)} for the joint head" if run.head_bytes else ""
    facts = {
        "agreement": "" if worth.agreement is None else percent(worth.agreement),
        "both together": f"{_value(worth, worth.combined)}, gain {_gain(worth, worth.gain)}"
        f"{' points' if _is_share(worth) else ''} (95 %: {_gain(worth, low)} to {_gain(worth, high)})",
        "this estimate": _traffic(estimate),
        "answers left": _left(estimate),
        "a whole run": total,
    }
    unknown = [name for name, found in zip(estimate.class_names, worth.by_class, strict=True) if found is None]
    if unknown:
        facts["not judged"] = "classes without a held-out sample: " + ", ".join(unknown)
    return Group(_by_class(estimate.class_names, worth), Facts(facts))


def _accuracies(judged: JudgedRecord) -> Grid:
    row = [_value(judged, value) for value in (judged.own, judged.peer, judged.combined)]
    row.append(_difference(judged, judged.own, judged.combined))
    columns = [Column(heading=heading) for heading in ("own", "peer", "combined", "gain")]
    return Grid(title=_title(judged), columns=columns, rows=[row])


def _by_class(class_names: list[str], worth: WorthRecord) -> Grid:
    rows = []
    for name, found in zip(class_names, worth.by_class, strict=True):
        if found is not None:
            samples, own, peer = found
            rows.append([name, count(samples), *_compared(worth, own, peer)])
    rows.append(["all", count(worth.num_known), *_compared(worth, worth.own, worth.peer)])
    numbers = (Column(heading=heading) for heading in ("samples", "own", "peer", "difference"))
    columns = [Column(heading=_OUTPUTS[worth.measure], is_number=False), *numbers]
    return Grid(title=_title(worth), columns=columns, rows=rows)


def _title(judged: JudgedRecord) -> str:
    return f"{judged.measure.capitalize()} on {count(judged.num_known)} held-out samples"


def _is_share(judged: JudgedRecord) -> bool:
    return judged.measure != "mean absolute error"


def _value(judged: JudgedRecord, value: float) -> str:
    return percent(value) if _is_share(judged) else f"{value:.4g}"


def _gain(judged: JudgedRecord, gain: float) -> str:
    """Above 0 where it is better."""
    return f"{100 * gain:+.1f}" if _is_share(judged) else f"{gain:+.3g}"


def _difference(judged: JudgedRecord, before: float, after: float) -> str:
    return _gain(judged, after - before if _is_share(judged) else before - after)


def _compared(judged: JudgedRecord, own: float, peer: float) -> list[str]:
    return [_value(judged, own), _value(judged, peer), _difference(judged, own, peer)]


def _combination(combination: CombinationRecord) -> str:
    if combination.num_known == 0:
        return "with equal weights: too few held-out samples for a fit"
    own = combination.own_weight
    return f"own weight {own:.2f}, peer's {1 - own:.2f}, fitted on {combination.num_known} held-out samples"


def _traffic(facts: AskedRecord) -> str:
    sent, received = human_bytes(facts.bytes_sent), human_bytes(facts.bytes_received)
    dealt = f"{human_bytes(facts.dealer_bytes)} from the dealer, " if facts.dealer_bytes else ""
    return f"{sent} sent, {received} received, {dealt}{count(facts.rounds)} rounds"


def _left(facts: AskedRecord) -> str:
    budget = facts.budget
    return f"{count(budget.left)} of {count(budget.limit)} of your own network"
