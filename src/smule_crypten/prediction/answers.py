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
from smule_crypten.report.formatting import count, gain_in_points, human_bytes, percent
from smule_crypten.report.terminal import Column, Facts, Grid


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
    if run.num_exchanges is not None and run.exchange_bytes is not None and run.num_queries is not None:
        total = f"at most {human_bytes(run.num_exchanges * run.exchange_bytes)} of both parties together, "
        of_a, of_b = run.num_queries
        total += f"{of_a} queries of party a and {of_b} of party b in each of {run.num_exchanges} exchanges"
    facts = {
        "agreement": percent(worth.agreement),
        "both together": f"{percent(worth.combined)}, gain {100 * worth.gain:+.1f} points "
        f"(95 %: {100 * low:+.1f} to {100 * high:+.1f})",
        "this estimate": _traffic(estimate),
        "answers left": _left(estimate),
        "a whole run": total,
    }
    unknown = [name for name, found in zip(estimate.class_names, worth.by_class, strict=True) if found is None]
    if unknown:
        facts["not judged"] = "classes without a held-out sample: " + ", ".join(unknown)
    return Group(_by_class(estimate.class_names, worth), Facts(facts))


def _accuracies(judged: JudgedRecord) -> Grid:
    row = [percent(accuracy) for accuracy in (judged.own, judged.peer, judged.combined)]
    row.append(gain_in_points(judged.own, judged.combined))
    columns = [Column(heading=heading) for heading in ("own", "peer", "combined", "gain")]
    return Grid(title=_title(judged), columns=columns, rows=[row])


def _by_class(class_names: list[str], worth: WorthRecord) -> Grid:
    rows = []
    for name, found in zip(class_names, worth.by_class, strict=True):
        if found is not None:
            samples, own, peer = found
            rows.append([name, count(samples), percent(own), percent(peer), gain_in_points(own, peer)])
    own, peer = worth.own, worth.peer
    rows.append(["all", count(worth.num_known), percent(own), percent(peer), gain_in_points(own, peer)])
    numbers = (Column(heading=heading) for heading in ("samples", "own", "peer", "difference"))
    columns = [Column(heading="class", is_number=False), *numbers]
    return Grid(title=_title(worth), columns=columns, rows=rows)


def _title(judged: JudgedRecord) -> str:
    return f"Accuracy on {count(judged.num_known)} held-out samples"


def _combination(combination: CombinationRecord) -> str:
    if combination.num_known == 0:
        return "with equal weights: too few held-out samples for a fit"
    own = combination.own_weight
    return f"own weight {own:.2f}, peer's {1 - own:.2f}, fitted on {combination.num_known} held-out samples"


def _traffic(facts: AskedRecord) -> str:
    sent, received, dealt = (
        human_bytes(value) for value in (facts.bytes_sent, facts.bytes_received, facts.dealer_bytes)
    )
    return f"{sent} sent, {received} received, {dealt} from the dealer, {count(facts.rounds)} rounds"


def _left(facts: AskedRecord) -> str:
    budget = facts.budget
    return f"{count(budget.left)} of {count(budget.limit)} of the own network"
