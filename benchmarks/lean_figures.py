"""The figures of lean_scheme.py: what is made of the runs, the limits, and the table."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from query_bytes import WEIGHTS_ANSWER, ahead_bytes, bytes_of_weights
from reference_task import INPUT_SHAPE, Run
from rich.console import Console
from rich.table import Table
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import translate
from smule_crypten.oblivious.parameters import STANDARD

BASELINE = "crypten"
LIMITS: dict[str, dict[str, float]] = {
    "two_party": {
        "all_in_bytes_at_200": 220_000,
        "set_up_bytes": 3_000_000,
        "rounds": 28,
        "cpu_seconds_a_query": 0.06,
    },
    "two_party narrow": {"all_in_bytes_at_200": 195_000, "rounds": 28},
    "lean": {
        "online_bytes": 110_000,
        "all_in_bytes": 313_000,
        "rounds": 17,
        "max_abs_logit_error": 0.01,
        "time_ratio": 0.6,
    },
    "lean narrow": {"online_bytes": 105_000, "all_in_bytes": 295_000, "rounds": 17, "max_abs_logit_error": 0.02},
}
"""At most, on the trained reference network; bytes are a query's."""
LEAST_AGREEMENT = 0.998
JUDGED = ("two_party", "lean", "lean narrow")
"""Schemes whose agreement has that limit."""


def summarize(
    network: nn.Module,
    config: SchemeConfig,
    counts: tuple[int, int],
    timed: list[list[Run]],
    judged: list[Run],
    memory: list[int],
) -> dict[str, Any]:
    """Bytes are those of both directions of the link, a query. An exchange takes as long as its slower party."""
    queries = sum(counts)
    first = [runs[0] for runs in timed]
    architecture = translate(network, INPUT_SHAPE).architecture
    ahead = sum(ahead_bytes(architecture, config, count) for count in counts)
    # The first ones come with the set-up, but are counted by what is taken of them, as all others.
    first_iterations = 2 * STANDARD.main.message_bytes if config.name == "two_party" else 0
    online = sum(run.bytes_sent for run in first)
    dealt = sum(run.dealer_bytes for run in first)
    weights = sum(bytes_of_weights(architecture, config, count) for count in counts if count)
    return {
        "queries": queries,
        "online_bytes": online / queries,
        "online_bytes_without_weights": (online - weights) / queries,
        "all_in_bytes": (online + dealt) / queries,
        "dealer_bytes": dealt / queries,
        "ahead_bytes": ahead / queries,
        "all_in_bytes_at_200": (online - weights + dealt + ahead) / queries
        + weights / sum(map(bool, counts)) / WEIGHTS_ANSWER,
        "set_up_bytes": sum(run.set_up_bytes for run in first) - first_iterations,
        "cpu_seconds_a_query": max(statistics.median(run.cpu_seconds for run in runs) for runs in timed) / queries,
        "rounds": max(run.rounds for run in first),
        "predicted": _predicted(network, config, counts),
        "measured": [[run.bytes_sent, run.dealer_bytes, run.rounds] for run in first],
        "seconds": _slower(timed, "seconds"),
        "preparation_seconds": _slower(timed, "preparation_seconds"),
        "begin_seconds": _slower(timed, "begin_seconds"),
        "peak_memory_bytes": memory,
        "max_abs_logit_error": max(run.logit_error for run in judged),
        "mean_abs_logit_error": max(run.mean_logit_error for run in judged),
        "max_abs_soft_label_error": max(run.soft_label_error for run in judged),
        "agreement": statistics.mean(run.agreement for run, count in zip(judged, counts, strict=True) if count),
    }


def _predicted(network: nn.Module, config: SchemeConfig, counts: tuple[int, int]) -> list[list[int]]:
    """For party a and party b: bytes that it sends, bytes from the dealer, and rounds."""
    scheme = scheme_class(config.name)
    architecture = translate(network, INPUT_SHAPE).architecture
    directions = [scheme.cost_of(architecture, count, config, dealt=True) for count in counts]
    costs = [scheme.combine(directions[rank].data_owner, directions[1 - rank].model_owner) for rank in (0, 1)]
    return [[cost.bytes_sent, cost.dealer_bytes, cost.rounds] for cost in costs]


def _slower(parties: list[list[Run]], what: str) -> list[float]:
    return [max(getattr(run, what) for run in pair) for pair in zip(*parties, strict=True)]


def time_ratios(figures: dict[str, Any], name: str) -> list[float]:
    """Of whole exchanges, pair by pair."""
    pairs = zip(figures["schemes"][name]["seconds"], figures["schemes"][BASELINE]["seconds"], strict=True)
    return [mine / theirs for mine, theirs in pairs]


def failures(figures: dict[str, Any]) -> list[str]:
    """What does not hold, one line each."""
    found = []
    for name, measured in figures["schemes"].items():
        if measured["measured"] != measured["predicted"]:
            found.append(f"{name}: {measured['measured']} was counted, cost_of says {measured['predicted']}")
        for what, limit in LIMITS.get(name, {}).items():
            value = statistics.median(time_ratios(figures, name)) if what == "time_ratio" else measured[what]
            if not value <= limit:
                found.append(f"{name}: {what} is {value:.6g}, more than {limit:g}")
        if name in JUDGED and not measured["agreement"] >= LEAST_AGREEMENT:
            found.append(f"{name}: agreement is {measured['agreement']:.4f}, less than {LEAST_AGREEMENT:g}")
    return found


def show(network: str, figures: dict[str, Any]) -> None:
    schemes = figures["schemes"]
    table = Table(
        "a query, both directions of the link",
        *schemes,
        title=f"{network}: parties a, b ask about {figures['counts']} images, in micro-batches of "
        f"{figures['micro_batch']}; errors on {figures['accuracy_counts']}; test accuracy "
        f"{figures['test_accuracy']:.3f}, largest centred logit {figures['largest_logit']:.1f}",
    )
    for title, cell in ROWS.items():
        table.add_row(title, *(cell(row) for row in schemes.values()))
    if BASELINE in schemes:
        for title, number in (("time / crypten's: median", 1), ("lower quartile", 0), ("upper quartile", 2)):
            ratios = [statistics.quantiles(time_ratios(figures, name), n=4, method="inclusive") for name in schemes]
            table.add_row(title, *(f"{quartiles[number]:.3f}" for quartiles in ratios))
    Console(width=160).print(table)


ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "ring / precision / options": lambda row: _setting(row["config"]),
    "online KB": lambda row: f"{row['online_bytes'] / 1e3:,.2f}",
    "online KB without weights": lambda row: f"{row['online_bytes_without_weights'] / 1e3:,.2f}",
    "online + dealer KB": lambda row: f"{row['all_in_bytes'] / 1e3:,.2f}",
    "dealer KB": lambda row: f"{row['dealer_bytes'] / 1e3:,.2f}",
    "transfers ahead KB": lambda row: f"{row['ahead_bytes'] / 1e3:,.2f}",
    f"all KB, {WEIGHTS_ANSWER} queries a set of weights": lambda row: f"{row['all_in_bytes_at_200'] / 1e3:,.2f}",
    "set-up of a run, both, MB": lambda row: f"{row['set_up_bytes'] / 1e6:,.2f}",
    "CPU ms a query and party": lambda row: f"{1e3 * row['cpu_seconds_a_query']:.1f}",
    "rounds an exchange": lambda row: str(row["rounds"]),
    "exchange ms a query, median": lambda row: f"{1e3 * statistics.median(row['seconds']) / row['queries']:.2f}",
    "of it preparation ms": lambda row: f"{1e3 * statistics.median(row['preparation_seconds']) / row['queries']:.2f}",
    "keys before it s": lambda row: f"{statistics.median(row['begin_seconds']):.3f}",
    "peak MiB a, b, dealer": lambda row: ", ".join(f"{size / 2**20:.0f}" for size in row["peak_memory_bytes"]),
    "max abs logit error": lambda row: f"{row['max_abs_logit_error']:.2e}",
    "mean abs logit error": lambda row: f"{row['mean_abs_logit_error']:.2e}",
    "max abs soft label error": lambda row: f"{row['max_abs_soft_label_error']:.2e}",
    "top-1 agreement": lambda row: f"{100 * row['agreement']:.2f} %",
}
"""Of the table: title and cell."""


def _setting(config: dict[str, Any]) -> str:
    options = config["options"]
    if not options:
        return f"64 / {config['precision_bits']}"
    rest = ", ".join(f"{name.split('_')[0]} {value}" for name, value in options.items() if name != "ring_bits")
    return f"{options['ring_bits']} / {config['precision_bits']} / {rest}"
