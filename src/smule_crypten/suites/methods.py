"""Suites `methods` and `headline`: all that a user could pick, on the same data, split, network, schedule and seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smule_crypten.config.run import RunConfig
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import epoch_traffic
from smule_crypten.simulation.simulation import run_simulation
from smule_crypten.suites.baselines import FULL_TRAINING, averaged, figures, fully_trained
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.links import ON_LINKS, on_links
from smule_crypten.suites.options import SuiteConfig, changed, with_scheme
from smule_crypten.suites.suite_records import Curve, Findings, ResultTable
from smule_crypten.suites.tables import mean_curve, mean_of, table
from smule_crypten.types import PARTY_NAMES

_COLUMNS = [
    ("method", "Method"),
    ("mean_accuracy", "Accuracy, mean"),
    ("a_accuracy", "Party a"),
    ("b_accuracy", "Party b"),
    ("spread_accuracy", "± over seeds"),
    ("epoch_bytes", "An epoch, online"),
    ("epoch_dealer_bytes", "from the dealer"),
    ("total_bytes", "Whole training, online"),
    ("total_dealer_bytes", "from the dealer"),
    ("rounds", "Rounds"),
    ("epoch_seconds", "An epoch, time here"),
    ("local_seconds", "Whole training, time here"),
]
_ON_TERMINAL = ("method", "mean_accuracy", "epoch_bytes", "epoch_dealer_bytes", "local_seconds")


def run_methods(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    results: dict[str, list[dict[str, Any]]] = {}
    for seed in suite.seeds:
        for method, result in _of_seed(suite, changed(run, seed=seed), store).items():
            results.setdefault(method, []).append(result)
    rows = [_row(method, by_seed) for method, by_seed in results.items()]
    tables = [
        table(f"Methods, {len(suite.seeds)} seed(s)", _COLUMNS, rows, _note(results), _ON_TERMINAL),
        _link_times(rows),
    ]
    if FULL_TRAINING in results:
        tables.append(_ratios(rows, suite.limit_mb))
    curves = [
        Curve(label=method, points=mean_curve(by_seed[0]["curves"].values())) for method, by_seed in results.items()
    ]
    by_layer = {method: by_seed[0]["bytes_by_layer"] for method, by_seed in results.items()}
    return Findings(
        tables=tables,
        curves=[curve for curve in curves if curve.points],
        bytes_by_layer={method: layers for method, layers in by_layer.items() if layers},
    )


def _of_seed(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for position, name in enumerate(suite.schemes):
        simulation = run.simulation.model_dump() | {"fidelity": False}
        if position:  # what every simulation of the seed would find again
            simulation |= {"pooled": False, "controls": ()}
        chosen = changed(run, **with_scheme(name, run), simulation=simulation)

        def compute(folder: Path, chosen: RunConfig = chosen) -> dict[str, Any]:
            return of_record(run_simulation(chosen, folder, store.console))

        result = store.result(f"SMuLe {name} seed {run.seed}", {"run": chosen.model_dump(mode="json")}, compute)
        if position == 0:
            found |= {method: shared for method, shared in result["shared"].items() if shared is not None}
        found[_title(name)] = result["smule"]
    settings = {"run": run.model_dump(mode="json")}
    if suite.fedavg:
        found["FedAvg, sees weights"] = averaged(run, settings, store)
    if suite.full_training.run != "no":
        found[FULL_TRAINING] = fully_trained(suite, run, settings, store)
    return found


def _title(scheme: str) -> str:
    return "mutual learning in plaintext" if scheme == "plaintext" else f"SMuLe, {scheme}"


def of_record(record: RunRecord) -> dict[str, Any]:
    """What a simulation says of several methods at once."""
    parties = [record.parties[name] for name in PARTY_NAMES]
    alone = [party.standalone_test_accuracy for party in parties]
    phases = {"standalone", "smule", "pooled", *(epoch.phase for epoch in record.epochs)}
    curves = {phase: _curves(record, phase) for phase in phases}
    traffic = [epoch for epoch in epoch_traffic(record) if epoch.queries]
    shared = {
        "alone": None if None in alone else figures("measured", alone, curves["standalone"]),
        **{
            f"alone, {name.replace('_', ' ')}": figures(
                "measured", [record.controls[party][name] for party in PARTY_NAMES], curves[name]
            )
            for name in record.controls.get(PARTY_NAMES[0], {})
        },
        "pooled data in one place": None
        if record.pooled_test_accuracy is None
        else figures("measured", [record.pooled_test_accuracy], curves["pooled"]),
    }
    smule = figures("measured", [party.test_accuracy for party in parties], curves["smule"])
    smule |= {
        "epoch_bytes": max((epoch.bytes_total for epoch in traffic), default=0),
        "epoch_dealer_bytes": max((epoch.dealer_bytes for epoch in traffic), default=0),
        "epoch_rounds": max((epoch.rounds for epoch in traffic), default=0),
        "total_bytes": sum(party.bytes_sent for party in parties),
        "total_dealer_bytes": sum(party.dealer_bytes for party in parties),
        "rounds": max(party.rounds for party in parties),
        "bytes_by_layer": parties[0].bytes_by_layer,
    }
    return {"shared": shared, "smule": smule}


def _curves(record: RunRecord, phase: str) -> dict[str, list[dict[str, Any]]]:
    """Test accuracy of each party over the epochs, beside the bytes of both parties so far.

    SMuLe's time counts from the start of the training alone before it, whose network it answers with.
    """
    alone_seconds = dict.fromkeys(PARTY_NAMES, 0.0)
    for epoch in record.epochs:
        if phase == "smule" and epoch.phase == "standalone":
            alone_seconds[epoch.party] += epoch.training_seconds
    spent, total = {0: 0}, 0
    for traffic in epoch_traffic(record):
        total += traffic.bytes_total + traffic.dealer_bytes
        spent[traffic.epoch] = total
    curves: dict[str, list[dict[str, Any]]] = {}
    for epoch in record.epochs:
        if epoch.phase == phase:
            points = curves.setdefault(f"party {epoch.party}" if epoch.party in PARTY_NAMES else "both", [])
            before = points[-1]["seconds"] if points else alone_seconds.get(epoch.party, 0.0)
            points.append(
                {
                    "epoch": epoch.epoch,
                    "accuracy": epoch.test_accuracy,
                    "bytes": spent.get(epoch.epoch, 0) if phase == "smule" else 0,
                    "seconds": before + epoch.training_seconds + epoch.exchange_seconds,
                }
            )
    return curves


def _row(method: str, by_seed: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds; the spread is the standard deviation of the mean accuracy of both parties."""
    keys = ("epoch_bytes", "epoch_dealer_bytes", "epoch_rounds", "total_bytes", "total_dealer_bytes", "rounds")
    known = [result for result in by_seed if None not in result["accuracies"]]
    means = [statistics.mean(result["accuracies"]) for result in known]
    row: dict[str, Any] = {
        "method": method,
        "basis": by_seed[0]["basis"],
        "mean_accuracy": mean_of(means),
        "spread_accuracy": statistics.stdev(means) if len(means) > 1 else None,
        "epoch_seconds": mean_of([_epoch_seconds(result) for result in by_seed]),
        "local_seconds": mean_of([result["local_seconds"] for result in by_seed]),
    }
    for position, name in enumerate(PARTY_NAMES):
        values = [result["accuracies"][min(position, len(result["accuracies"]) - 1)] for result in known]
        row[f"{name}_accuracy"] = mean_of(values)
    possible = row["basis"] != "not possible"
    return row | {key: statistics.mean(result[key] for result in by_seed) if possible else None for key in keys}


def _epoch_seconds(result: Mapping[str, Any]) -> float | None:
    """Training and exchange of the slower party; what was extrapolated has no curve, but says it."""
    curves = [points for points in result["curves"].values() if len(points) > 1]
    slopes = [(points[-1]["seconds"] - points[0]["seconds"]) / (len(points) - 1) for points in curves]
    return max(slopes, default=result.get("epoch_seconds"))


def _note(results: Mapping[str, list[dict[str, Any]]]) -> str:
    notes = [by_seed[0]["note"] for by_seed in results.values() if by_seed[0]["note"]]
    general = (
        "Bytes are payload in both directions of the link between the parties; the dealer's go to both together. "
        "An epoch's bytes are those of the costliest one, with its exchange. Time here is the slower party's, with all "
        "processes on this machine: training and exchanges, for the whole of SMuLe also the training alone before it; "
        "that of an epoch is the mean of all after the first."
    )
    return " ".join([general, *notes])


def _link_times(rows: list[dict[str, Any]]) -> ResultTable:
    timed = [
        {"method": row["method"], "basis": "predicted", **on_links(row["epoch_bytes"] / 2, row["epoch_rounds"])}
        for row in rows
        if row["epoch_bytes"]
    ]
    note = "What the messages between the parties take on such a link in one epoch, without computation and dealer."
    return table("Time of an epoch's messages on a link", [("method", "Method"), *ON_LINKS], timed, note)


def _ratios(rows: list[dict[str, Any]], limit_mb: float | None) -> ResultTable:
    """How many times the bytes of each method full training costs in an epoch, in total."""
    all_in = {row["method"]: row["epoch_bytes"] + row["epoch_dealer_bytes"] for row in rows if row["epoch_bytes"]}
    basis = {row["method"]: row["basis"] for row in rows}
    full = all_in.get(FULL_TRAINING)
    columns = [("method", "Method"), ("epoch_bytes", "An epoch in total"), ("full_ratio", "Full training / this")]
    if limit_mb is not None:
        columns.append(("limit", f"Within {limit_mb:g} MB"))
    found = [
        {
            "method": method,
            "basis": basis[FULL_TRAINING] if basis[FULL_TRAINING] != "measured" else basis[method],
            "epoch_bytes": num_bytes,
            "full_ratio": None if full is None else full / num_bytes,
            "limit": None if limit_mb is None else ("yes" if num_bytes <= limit_mb * 1e6 else "no"),
        }
        for method, num_bytes in all_in.items()
    ]
    return table("Bytes of an epoch beside full training", columns, found, "Both directions and the dealer.")
