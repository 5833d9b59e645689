"""Suite `learning`: what a party gains by its peer's answers, beside all it could do without, in each setting."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from smule_crypten.config.run import RunConfig
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import MethodName, SuiteConfig
from smule_crypten.suites.simulated import Bench
from smule_crypten.suites.suite_records import Curve, CurvePoint, Findings
from smule_crypten.suites.tables import mean_curve, mean_of, table
from smule_crypten.types import PARTY_NAMES

_LOCAL = ("alone", "label_smoothing", "self_mutual", "self_distillation", "own_head")
"""The best of these is what a gain is counted from."""
_HEADINGS: dict[str, str] = {
    "alone": "Alone",
    "label_smoothing": "Label smoothing",
    "self_mutual": "Self mutual",
    "self_distillation": "Self-distillation",
    "own_head": "Own head teaches",
    "smule": "SMuLe",
    "full_exchange": "All samples asked",
    "fedavg": "FedAvg",
    "pooled": "Pooled data",
}
_NOTE = (
    "Means over the seeds. A party that only answers has no row. The gain is that of SMuLe over the best of what the "
    "party could do alone, which is picked by its mean test accuracy and so favoured; ± is its standard deviation over "
    "the seeds. Joint prediction is that of both final networks, as smule-predict combines them. Answers are computed "
    "in the clear; the bytes are exact, those of an exchange of both directions and the dealer."
)

_WITH_HEAD = (
    ("own_head_with_accuracy", "Own head beside it, local"),
    ("own_copy_accuracy", "Own copy of the joint head"),
    ("with_copy_accuracy", "Network and copy"),
    ("noisy_head_accuracy", "Joint head with noise"),
    ("joint_head_accuracy", "Joint head alone"),
    ("head_bytes", "The head in total"),
)
_NOTE_OF_HEAD = (
    " With a joint head: the trained network is a plaintext network of the party, its own copy of the head a plaintext "
    "guess by own rows and the answers it got; both together predict without asking anybody. Joint head with noise is "
    "the network, the peer's and the joint head under the other party's noise, as if it was revealed, weighed by both "
    "validation parts. Own head beside it is what the party can do alone: the control's network and a ridge head of "
    "own rows."
)

Found = dict[MethodName, list[dict[str, Any] | None]]
"""What each method came to, by seed."""


def run_learning(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """A row of each setting and party that asks, and accuracy by bytes of SMuLe."""
    by_setting: dict[str, Found] = {}
    for name, case in Bench(store).cases(suite, run):
        found = by_setting.setdefault(name, {})
        for method in suite.methods:
            found.setdefault(method, []).append(case.method(method))
    rows = [
        _row(name, rank, found)
        for name, found in by_setting.items()
        for rank in range(len(PARTY_NAMES))
        if _asks(found, rank)
    ]
    columns = [
        ("setting", "Setting"),
        ("party", "Party"),
        ("seeds", "Seeds"),
        *((f"{method}_accuracy", _HEADINGS[method]) for method in suite.methods),
    ]
    if "smule" in suite.methods:
        columns += [
            ("gain_points", "Gain over the best alone"),
            ("spread", "±"),
            ("joint_accuracy", "Joint prediction"),
            *(_WITH_HEAD if _has_head(by_setting) else ()),
            ("queries", "Queries"),
            ("exchange_bytes", "An exchange in total"),
        ]
    on_terminal = ("setting", "party", "alone_accuracy", "smule_accuracy", "gain_points", "joint_accuracy")
    shown = [key for key in on_terminal if key in dict(columns)]
    note = _NOTE + (_NOTE_OF_HEAD if _has_head(by_setting) else "")
    return Findings(
        tables=[table("What a party gains by its peer's answers", columns, rows, note, shown)],
        curves=[Curve(label=name, points=points) for name, found in by_setting.items() if (points := _points(found))],
    )


def _asks(found: Found, rank: int) -> bool:
    """By the queries of SMuLe; where it was not run, every party has a row."""
    first = found.get("smule", [None])[0]
    return first is None or first["queries"] is None or first["queries"][rank] > 0


def _row(setting: str, rank: int, found: Found) -> dict[str, Any]:
    accuracies = {method: [_of(result, "accuracies", rank) for result in by_seed] for method, by_seed in found.items()}
    row: dict[str, Any] = {"setting": setting, "party": PARTY_NAMES[rank]}
    row["seeds"] = max(map(len, accuracies.values()))
    row |= {f"{method}_accuracy": mean_of(values) for method, values in accuracies.items()}
    if "smule" not in found:
        return row
    first = found["smule"][0]
    assert first is not None
    return row | {
        **_gain({method: accuracies[method] for method in _LOCAL if method in accuracies}, accuracies["smule"]),
        "joint_accuracy": mean_of([_of(result, "joint", rank) for result in found["smule"]]),
        **_of_head(found, rank),
        "queries": None if first["queries"] is None else first["queries"][rank],
        "exchange_bytes": first["exchange_bytes"],
        "online_bytes": first["online_bytes"],
    }


def _has_head(by_setting: Mapping[str, Found]) -> bool:
    """Whether any setting has a joint head."""
    return any(
        result is not None and "own_head" in result for of in by_setting.values() for result in of.get("smule", [])
    )


def _of_head(found: Found, rank: int) -> dict[str, Any]:
    """Nothing in a setting without a joint head."""
    smule = [result for result in found["smule"] if result is not None and "own_head" in result]
    if not smule:
        return {}
    control = [result for result in found.get("own_head", []) if result is not None]
    return {
        "own_head_with_accuracy": mean_of([_of(result, "with_own_head", rank) for result in control]),
        "own_copy_accuracy": mean_of([_of(result, "own_head", rank) for result in smule]),
        "with_copy_accuracy": mean_of([_of(result, "with_own_head", rank) for result in smule]),
        "noisy_head_accuracy": mean_of([_of(result, "with_noisy_head", rank) for result in smule]),
        "joint_head_accuracy": mean_of([result["joint_head"] for result in smule]),
        "head_bytes": smule[0]["head_bytes"],
    }


def _gain(local: Mapping[str, Sequence[float | None]], smule: Sequence[float | None]) -> dict[str, Any]:
    """Seed by seed, over the local method that is best in the mean."""
    means = {name: mean for name, values in local.items() if (mean := mean_of(values)) is not None}
    if not means:
        return {"gain_points": None, "spread": "", "best_local": None}
    best = max(means, key=lambda name: means[name])
    pairs = zip(smule, local[best], strict=True)
    gains = [own - other for own, other in pairs if own is not None and other is not None]
    spread = f"{100 * statistics.stdev(gains):.1f}" if len(gains) > 1 else ""
    return {"gain_points": statistics.mean(gains), "spread": spread, "best_local": best}


def _of(result: Mapping[str, Any] | None, key: str, rank: int) -> float | None:
    value: float | None = None if result is None else result[key][rank]
    return value


def _points(found: Found) -> list[CurvePoint]:
    """Of the first seed: the mean accuracy of the parties that ask, by bytes so far at most."""
    first = found.get("smule", [None])[0]
    if first is None or first["exchange_bytes"] is None:
        return []
    exchanges, num_bytes, once = first["exchange_epochs"], first["exchange_bytes"], first["set_up_bytes"]
    return mean_curve(
        [{**point, "bytes": once + num_bytes * sum(epoch <= point["epoch"] for epoch in exchanges)} for point in points]
        for rank, points in enumerate(first["curves"])
        if _asks(found, rank)
    )
