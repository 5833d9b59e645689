"""Suites `schemes`, `link` and `scaling`: what one exchange costs, by scheme, network, number of queries and link.

Both parties own a network of one architecture and ask about as many inputs_NX.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.config.run import RunConfig
from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.doctor.rehearsal import rehearse
from smule_crypten.errors import ModelError, SmuleError
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import comparisons
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model, num_parameters
from smule_crypten.mpc.training_plan import cost_of_step
from smule_crypten.party.featured import load_bundle
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.links import ON_LINKS, on_links
from smule_crypten.suites.options import NetworkChoice, SuiteConfig, changed, networks_of, scheme_of, with_scheme
from smule_crypten.suites.suite_records import Findings
from smule_crypten.suites.tables import table
from smule_crypten.types import Cost, InputShape

_EXCHANGE = [
    ("network", "Network"),
    ("scheme", "Scheme"),
    ("queries", "Queries of each"),
    ("exchange_bytes", "Online, both directions"),
    ("dealer_bytes", "From the dealer"),
    ("rounds", "Rounds"),
    ("ahead_bytes", "Ahead of it, at most"),
    ("set_up_bytes", "Once a run"),
]
_ON_TERMINAL = ("network", "scheme", "queries", "exchange_bytes", "dealer_bytes", "rounds")
_FULL_TRAINING_STEP = "a step of full training (CrypTen)"


def run_schemes(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """One measured exchange of each network, scheme and number of queries."""
    columns = [
        *_EXCHANGE,
        ("local_seconds", "Time here"),
        ("logit_error", "Largest logit error"),
        ("memory_bytes", "Memory of a party"),
        ("as_predicted", "As cost_of says"),
    ]
    note = "Initial weights; BatchNorm is folded. The second exchange of a session, after one that warms up."
    rows = _measured(suite, run, store)
    return Findings(tables=[table("Measured exchanges", columns, rows, note, _ON_TERMINAL)])


def run_link(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """Measured exchanges, and what they take on three links."""
    measured = _measured(suite, run, store)
    predicted = [
        row
        if row.get("basis") == "not possible"
        else row | on_links(row["one_way_bytes"], row["rounds"], row["local_seconds"]) | {"basis": "predicted"}
        for row in measured
    ]
    note = (
        "Predicted: time here, plus the busier direction's bytes over the bandwidth, plus half a round trip a round. "
        "The dealer has a line of its own."
    )
    return Findings(
        tables=[
            table("Measured exchanges", [*_EXCHANGE, ("local_seconds", "Time here")], measured, "", _ON_TERMINAL),
            table("Their time on links", [*_EXCHANGE[:3], *ON_LINKS], predicted, note),
        ]
    )


def run_scaling(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """Predicted exchanges, and a predicted step of full training of the same network."""
    rows: list[dict[str, Any]] = []
    for choice in networks_of(suite, run):
        settings = {
            "network": choice.model_dump(mode="json"),
            "queries": list(suite.queries),
            "schemes": {name: scheme_of(name, run).model_dump(mode="json") for name in suite.schemes},
            "data": run.data.model_dump(mode="json"),
            "batch": run.training.batch_size,
        }

        def compute(folder: Path, choice: NetworkChoice = choice) -> dict[str, Any]:
            return {"rows": _predicted(suite, run, choice)}

        rows += store.result(f"cost of {choice.title}", settings, compute)["rows"]
    columns = [
        ("network", "Network"),
        ("relus", "ReLUs per sample"),
        ("parameters", "Parameters"),
        *_EXCHANGE[1:],
        *ON_LINKS,
    ]
    note = (
        "Predicted from the public architecture, which tests hold to the counters; the times are those of the messages "
        "between the parties alone. A step of full training has the batch size of the configuration in the column of "
        "the queries, and counts BatchNorm as folded and dropout as free, in its favour."
    )
    title = "Predicted cost by network and number of queries"
    return Findings(tables=[table(title, columns, rows, note, _ON_TERMINAL)])


def _measured(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> list[dict[str, Any]]:
    rows = []
    for choice in networks_of(suite, run):
        for name in suite.schemes:
            for queries in suite.queries:
                chosen = changed(run, **with_scheme(name, run), party_a={"model": choice.model.model_dump()})
                settings = {
                    "run": chosen.model_dump(mode="json"),
                    "network": choice.model_dump(mode="json"),
                    "queries": queries,
                }

                def compute(
                    folder: Path, chosen: RunConfig = chosen, choice: NetworkChoice = choice, queries: int = queries
                ) -> dict[str, Any]:
                    return _measure(chosen, choice, queries)

                rows.append(store.result(f"{choice.title} {name} {queries} queries", settings, compute))
    return rows


def _measure(run: RunConfig, choice: NetworkChoice, queries: int) -> dict[str, Any]:
    inputs_NX, num_classes = _inputs(run, choice, queries)
    base = {"network": choice.title, "scheme": run.scheme.name, "queries": queries}
    try:
        architecture = translate(*_network(choice, inputs_NX, num_classes)).architecture
    except ModelError as error:
        return base | {"basis": "not possible", "as_predicted": str(error)}
    predicted = _cost(architecture, queries, run.scheme, run.party(0, ".").needs_dealer)
    beside = _beside(architecture, queries, run.scheme)
    found = rehearse(run.party(0, "."), inputs_NX, num_classes)
    cost, other = found.costs
    counts = ("rounds", "bytes_sent", "bytes_received", "dealer_bytes")
    exact = all(getattr(cost, name) == getattr(predicted, name) for name in counts)
    return (
        base
        | beside
        | {
            "exchange_bytes": cost.bytes_total,
            "one_way_bytes": max(cost.bytes_sent, cost.bytes_received),
            "dealer_bytes": cost.dealer_bytes + other.dealer_bytes,
            "rounds": cost.rounds,
            "local_seconds": cost.online_seconds + cost.offline_seconds,
            "logit_error": found.max_abs_logit_error,
            "memory_bytes": max(cost.peak_memory_bytes, other.peak_memory_bytes),
            "as_predicted": "exactly" if exact else f"no: {predicted}",
        }
    )


def _inputs(run: RunConfig, choice: NetworkChoice, count: int) -> tuple[torch.Tensor, int]:
    """Random inputs of the chosen size, or normalised ones of the configured data."""
    if choice.input_shape is not None:
        return torch.randn(count, *choice.input_shape, generator=torch.Generator().manual_seed(0)), choice.num_classes
    bundle = load_bundle(run)
    chosen = bundle.train.select(torch.arange(count) % len(bundle.train))
    return chosen.normalized(run.data.mean, run.data.std).inputs, bundle.num_classes


def _network(choice: NetworkChoice, inputs_NX: torch.Tensor, num_classes: int) -> tuple[nn.Module, InputShape]:
    """With its initial weights, and the shape of an input."""
    shape = tuple(inputs_NX.shape[1:])
    return build_model(choice.model, shape, num_classes, seed=0), shape


def _cost(architecture: arch.Architecture, queries: int, scheme: SchemeConfig, dealt: bool) -> Cost:
    """Of party a; party b's is the same with sent and received exchanged."""
    direction = scheme_class(scheme.name).cost_of(architecture, queries, scheme, dealt=dealt)
    return scheme_class(scheme.name).combine(direction.data_owner, direction.model_owner)


def _beside(architecture: arch.Architecture, queries: int, scheme: SchemeConfig) -> dict[str, int]:
    """Bytes of both parties that no exchange itself holds."""
    chosen = scheme_class(scheme.name)
    ahead = chosen.most_ahead((architecture, architecture), (queries, queries), scheme)
    return {"ahead_bytes": ahead.bytes_total, "set_up_bytes": chosen.set_up_cost().bytes_total}


def _predicted(suite: SuiteConfig, run: RunConfig, choice: NetworkChoice) -> list[dict[str, Any]]:
    inputs_NX, num_classes = _inputs(run, choice, 1)
    model, shape = _network(choice, inputs_NX, num_classes)
    base = {"network": choice.title, "parameters": num_parameters(model), "basis": "predicted"}
    try:
        architecture = translate(model, shape).architecture
    except SmuleError as error:
        return [base | {"basis": "not possible", "scheme": str(error)}]
    base["relus"] = _num_relus(architecture)
    costs: list[tuple[str, int, Cost, dict[str, int]]] = [
        (
            name,
            queries,
            _cost(architecture, queries, scheme_of(name, run), dealt=scheme_traits(name).needs_dealer),
            _beside(architecture, queries, scheme_of(name, run)),
        )
        for name in suite.schemes
        for queries in suite.queries
    ]
    batch = run.training.batch_size
    step = cost_of_step(architecture, batch, dealt=True)
    # One party is corrected in a step, both in an exchange.
    step = dataclasses.replace(step, dealer_bytes=step.dealer_bytes // 2)
    costs.append((_FULL_TRAINING_STEP, batch, step, {"ahead_bytes": 0, "set_up_bytes": 0}))
    return [
        base
        | {
            "scheme": name,
            "queries": count,
            "exchange_bytes": cost.bytes_total,
            "dealer_bytes": 2 * cost.dealer_bytes,
            "rounds": cost.rounds,
            **beside,
            **on_links(max(cost.bytes_sent, cost.bytes_received), cost.rounds),
        }
        for name, count, cost, beside in costs
    ]


def _num_relus(architecture: arch.Architecture) -> int:
    """Comparisons per sample, those of max pooling among them."""
    total = 0
    for op, shape in zip(architecture.ops, architecture.shapes, strict=True):
        if isinstance(op, arch.ReLU):
            total += arch.num_elements(shape)
        elif isinstance(op, arch.MaxPool2d):
            total += arch.num_elements(shape) * sum(comparisons(op))
    return total
