"""What smule-predict and smule-estimate print at their end. Fits 80 columns and says everything without color."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from smule_crypten.report.formatting import count, gain_in_points, human_bytes, percent
from smule_crypten.report.terminal import Column, Facts, Grid


def prediction_table(metadata: Mapping[str, Any]) -> RenderableType:
    """From what prediction/predict_files.py returns."""
    queries = f"{count(metadata['queries_made'])} made, {count(metadata['queries_answered'])} answered"
    cost = {"queries": queries, "answers left": _left(metadata), "bytes": _traffic(metadata)}
    if metadata["answers_dropped"]:
        cost["dropped"] = f"{count(metadata['answers_dropped'])} answers beyond the other party's stated bound"
    if "combination" not in metadata:
        return Facts(cost)
    combined = _combination(metadata["combination"])
    facts = Facts({"predicted": f"{count(metadata['num_images'])} images", "combined": combined, **cost})
    judged = metadata["validation"]
    return facts if judged is None else Group(_accuracies(judged), facts)


def estimate_table(estimate: Mapping[str, Any]) -> RenderableType:
    """From what prediction/estimate.py returns."""
    worth, run = estimate["worth"], estimate["run"]
    low, high = worth["interval"]
    total = run["problem"] or "not known in advance without exchange.num_queries or exchange.budget_mb"
    if run["problem"] is None and run["exchange_bytes"] is not None:
        total = f"at most {human_bytes(run['num_exchanges'] * run['exchange_bytes'])} of both parties together, "
        of_a, of_b = run["num_queries"]
        total += f"{of_a} queries of party a and {of_b} of party b in each of {run['num_exchanges']} exchanges"
    facts = {
        "agreement": percent(worth["agreement"]),
        "both together": f"{percent(worth['combined'])}, gain {100 * worth['gain']:+.1f} points "
        f"(95 %: {100 * low:+.1f} to {100 * high:+.1f})",
        "training with it": _forecast(estimate["forecast"]),
        "this estimate": _traffic(estimate),
        "answers left": _left(estimate),
        "a whole run": total,
    }
    unknown = [name for name, found in zip(estimate["class_names"], worth["by_class"], strict=True) if found is None]
    if unknown:
        facts["not judged"] = "classes without a held-out sample: " + ", ".join(unknown)
    return Group(_by_class(estimate["class_names"], worth), Facts(facts))


def _forecast(forecast: Mapping[str, Any] | None) -> str:
    if forecast is None:
        return "no forecast without a query"
    gain, low, high = (100 * forecast[key] for key in ("gain", "low", "high"))
    return (
        f"forecast {gain:+.1f} points over training alone (about 95 %: {low:+.1f} to {high:+.1f}) with "
        f"{count(forecast['num_asked'])} samples asked about"
    )


def _accuracies(judged: Mapping[str, Any]) -> Grid:
    row = [percent(judged[key]) for key in ("own", "peer", "combined")]
    row.append(gain_in_points(judged["own"], judged["combined"]))
    columns = [Column(heading=heading) for heading in ("own", "peer", "combined", "gain")]
    return Grid(title=_title(judged), columns=columns, rows=[row])


def _by_class(class_names: list[str], worth: Mapping[str, Any]) -> Grid:
    rows = []
    for name, found in zip(class_names, worth["by_class"], strict=True):
        if found is not None:
            samples, own, peer = found
            rows.append([name, count(samples), percent(own), percent(peer), gain_in_points(own, peer)])
    own, peer = worth["own"], worth["peer"]
    rows.append(["all", count(worth["num_known"]), percent(own), percent(peer), gain_in_points(own, peer)])
    numbers = (Column(heading=heading) for heading in ("samples", "own", "peer", "difference"))
    columns = [Column(heading="class", is_number=False), *numbers]
    return Grid(title=_title(worth), columns=columns, rows=rows)


def _title(judged: Mapping[str, Any]) -> str:
    return f"Accuracy on {count(judged['num_known'])} held-out samples"


def _combination(combination: Mapping[str, Any]) -> str:
    if combination["num_known"] == 0:
        return "with equal weights: too few held-out samples for a fit"
    own = combination["own_weight"]
    return f"own weight {own:.2f}, peer's {1 - own:.2f}, fitted on {combination['num_known']} held-out samples"


def _traffic(facts: Mapping[str, Any]) -> str:
    sent, received, dealt = (human_bytes(facts[key]) for key in ("bytes_sent", "bytes_received", "dealer_bytes"))
    return f"{sent} sent, {received} received, {dealt} from the dealer, {count(facts['rounds'])} rounds"


def _left(facts: Mapping[str, Any]) -> str:
    budget = facts["budget"]
    return f"{count(budget['left'])} of {count(budget['limit'])} of the own network"
