"""Suite `figures`: by the metrics of each task, what SMuLe adds to what a party could do alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from torch import nn

from smule_crypten.baselines.averaging import average_weights
from smule_crypten.config.run import RunConfig
from smule_crypten.metric_names import METRIC_FACTS, metrics_of
from smule_crypten.report.formatting import MISSING, human_bytes
from smule_crypten.report.metric_text import gain_value, metric_title, metric_value
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.simulated import Bench, Case
from smule_crypten.suites.suite_records import Findings, Row
from smule_crypten.suites.tables import mean_of, table
from smule_crypten.tasks.evaluation import Evaluated, evaluated, gain
from smule_crypten.tasks.metrics import Prediction
from smule_crypten.tasks.thresholds import picked_thresholds
from smule_crypten.types import PARTY_NAMES

_OTHERS = {"joint": "Joint prediction", "fedavg": "FedAvg", "pooled": "Pooled data"}
_NOTE = (
    "Means over the seeds. The best control is the best of alone and the local controls by its mean on the test part, "
    "and so favoured. The gain of SMuLe over it is a paired bootstrap on the same test samples, 95 %: from the least "
    "low to the greatest high end of all seeds; clear is in how many seeds the interval excludes zero, + for better, "
    "- for worse. More is better for every gain. Answers are computed in the clear; the bytes are exact."
)
_ON_TERMINAL = ("setting", "party", "metric", "control", "smule", "gain", "interval")
Found = dict[str, Any]


def run_figures(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """A row of each setting, party that asks, and metric; and what the exchanges cost."""
    by_setting: dict[str, list[Found]] = {}
    tasks = {}
    for name, case in Bench(store).cases(suite, run):
        found = case.result("figures", lambda case=case: _figures(case))  # type: ignore[misc]
        by_setting.setdefault(name, []).append(found)
        tasks[name] = case.run.task
    rows, costs = [], []
    for name, seeds in by_setting.items():
        chosen = [metric for metric in metrics_of(tasks[name]) if not suite.metrics or metric in suite.metrics]
        for rank, party in enumerate(PARTY_NAMES):
            if seeds[0]["parties"][rank] is not None:
                of_party = [found["parties"][rank] for found in seeds]
                rows += [{"setting": name, "party": party, **_row(metric, of_party)} for metric in chosen]
        costs.append({"setting": name, **_cost(seeds)})
    columns = [
        *((key, key.capitalize()) for key in ("setting", "party", "metric", "seeds", "alone")),
        *(("control", "Best control"), ("smule", "SMuLe"), ("gain", "Gain"), ("interval", "Interval")),
        *(("clear", "Clear"), *_OTHERS.items()),
    ]
    cost_columns = [
        *(("setting", "Setting"), ("queries", "Queries per exchange, a + b"), ("query", "A query in total")),
        *(("exchange", "An exchange in total"), ("exchanges", "Exchanges"), ("total", "All of them")),
    ]
    return Findings(
        tables=[
            table("What SMuLe adds, by the metrics of each task", columns, rows, _NOTE, _ON_TERMINAL),
            table("What the exchanges cost", cost_columns, costs, "Both directions and the dealer."),
        ]
    )


def _figures(case: Case) -> Found:
    """All networks of the case on the test part, and its plan."""
    here, plan = case.here, case.here.plan
    alone = case.both_alone
    mutual = here.mutual(alone)
    smule = [party.network for party in mutual]
    is_averaged = case.run.party_a.model == case.run.party_b.model
    averaged = [party.model for party in average_weights(here.learners).parties] if is_averaged else None
    pooled = here.pooled().model
    parties: list[Found | None] = []
    for rank in (0, 1):
        if not case.asks(rank):
            parties.append(None)
            continue
        local = {"alone": alone[rank].model} | {
            name: here.control(name, rank, alone[rank]).model for name in case.run.controls
        }
        others = {"pooled": pooled} | ({} if averaged is None else {"fedavg": averaged[rank]})
        parties.append(_of_party(case, rank, smule, local, others))
    return {
        "parties": parties,
        "queries": plan.num_queries,
        "exchange_bytes": plan.exchange_bytes,
        "run_bytes": plan.run_bytes,
        "exchanges": len(mutual[0].due),
    }


def _of_party(
    case: Case, rank: int, smule: Sequence[nn.Module], local: Mapping[str, nn.Module], others: Mapping[str, nn.Module]
) -> Found:
    learner = case.here.learners[rank]
    after = learner.evaluated(smule[rank])
    before = {name: learner.evaluated(model) for name, model in local.items()}
    beside = {name: learner.evaluated(model) for name, model in others.items()}
    beside["joint"] = _joint(case, rank, smule[rank], smule[1 - rank])
    return {
        "smule": _values(after),
        "local": {name: _values(found) for name, found in before.items()},
        "others": {name: _values(found) for name, found in beside.items()},
        "gains": {
            name: {metric: vars(gain(metric, after, found)) for metric in after.metrics}
            for name, found in before.items()
        },
    }


def _values(found: Evaluated) -> dict[str, float | None]:
    return {name: figure.value for name, figure in found.metrics.items()}


def _joint(case: Case, rank: int, own: nn.Module, peer: nn.Module) -> Evaluated:
    """Both networks at prediction time."""
    learner = case.here.learners[rank]
    parts = learner.holding.validation, learner.holding.test
    held_out, test = (
        Prediction(
            task=learner.task.name,
            outputs_NC=predictions_NC.double().numpy(),
            targets=learner.task.in_own_units(part.targets).numpy(),
        )
        for part, predictions_NC in zip(parts, case.together(rank, own, peer), strict=True)
    )
    return evaluated(replace(test, thresholds_C=picked_thresholds(held_out)))


def _row(metric: str, seeds: Sequence[Found]) -> Row:
    local: dict[str, float | None] = {
        name: mean_of(found["local"][name][metric] for found in seeds) for name in seeds[0]["local"]
    }
    known = {name: value for name, value in local.items() if value is not None}
    pick = max if METRIC_FACTS[metric].higher_is_better else min
    best = pick(known, key=lambda name: known[name]) if known else "alone"
    gains = [found["gains"][best][metric] for found in seeds]
    return {
        "metric": metric_title(metric),
        "seeds": len(seeds),
        "alone": metric_value(metric, local["alone"]),
        "control": f"{metric_value(metric, local[best])} ({best.replace('_', ' ')})",
        "smule": metric_value(metric, mean_of(found["smule"][metric] for found in seeds)),
        **_gain(metric, gains),
        **{key: metric_value(metric, mean_of(_other(found, key, metric) for found in seeds)) for key in _OTHERS},
    }


def _other(found: Found, method: str, metric: str) -> float | None:
    """None where the method cannot be used."""
    value: float | None = found["others"].get(method, {}).get(metric)
    return value


def _gain(metric: str, gains: Sequence[Found]) -> Row:
    known = [found for found in gains if found["low"] is not None]
    if not known:
        return {"gain": MISSING, "interval": MISSING, "clear": MISSING}
    low, high = min(found["low"] for found in known), max(found["high"] for found in known)
    better, worse = sum(found["low"] > 0 for found in known), sum(found["high"] < 0 for found in known)
    parts = [text for count, text in ((better, f"+{better}"), (worse, f"-{worse}")) if count]
    return {
        "gain": gain_value(metric, mean(found["value"] for found in known)),
        "interval": f"{gain_value(metric, low)} to {gain_value(metric, high)}",
        "clear": f"{' '.join(parts) or 'no clear gain'} of {len(known)}",
    }


def _cost(seeds: Sequence[Found]) -> Row:
    found = seeds[0]
    queries, num_bytes, count = found["queries"], found["exchange_bytes"], found["exchanges"]
    if queries is None or num_bytes is None:
        return {"queries": MISSING, "query": MISSING, "exchange": MISSING, "exchanges": count, "total": MISSING}
    return {
        "queries": " + ".join(map(str, queries)),
        "query": human_bytes(num_bytes / max(1, sum(queries))),
        "exchange": human_bytes(num_bytes),
        "exchanges": count,
        "total": human_bytes(found["run_bytes"]),
    }
