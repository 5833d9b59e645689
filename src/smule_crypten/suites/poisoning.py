"""Suite `poisoning`: what an adversary's poison does to the honest party, by how both train together."""

from __future__ import annotations

from typing import Any

from smule_crypten.config.run import RunConfig
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import SuiteConfig, chosen
from smule_crypten.suites.simulated import Bench
from smule_crypten.suites.suite_records import Findings
from smule_crypten.suites.tables import mean_of, table

_COLUMNS = [
    ("setting", "Setting"),
    ("attack", "Attack"),
    ("method", "Training"),
    ("honest_accuracy", "Accuracy"),
    ("success_accuracy", "Success of the attack"),
    ("gain_points", "Over alone, by seed"),
    ("adversary_accuracy", "The adversary's accuracy"),
    ("kept", "Kept its student"),
    ("alarms", "First alarm, by seed"),
]
_ON_TERMINAL = ("attack", "method", "honest_accuracy", "success_accuracy", "alarms")
_NOTE = (
    "Means over the seeds. Accuracy and success (the share of the test samples that come out as the attack wants; none "
    "for mere harm) are those of the honest party. Its student is the network that learned from the adversary, beside "
    "the one trained alone. First alarm: the number of the exchange. Pooled data is what full training under secret "
    "sharing computes. All in the clear."
)


def run_poisoning(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """A row of each setting, attack and method that goes together with it."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for setting, case in Bench(store).cases(suite, run):
        for attack, options in chosen(suite, suite.attacks).items():
            attacked = case.changed(attack, {"attack": {"name": "none", "party": run.attack.party, **options}})
            results = {method: attacked.method(method) for method in dict.fromkeys(("alone", *suite.methods))}
            alone = results["alone"]
            for method in suite.methods:
                result = results[method]
                if alone is not None and result is not None and result["accuracies"][attacked.honest] is not None:
                    by_seed = found.setdefault((setting, attack, method), [])
                    by_seed.append({"honest": attacked.honest, "alone": alone, **result})
    rows = [_row(*names, by_seed) for names, by_seed in found.items()]
    return Findings(tables=[table("What poison does to the honest party", _COLUMNS, rows, _NOTE, _ON_TERMINAL)])


def _row(setting: str, attack: str, method: str, by_seed: list[dict[str, Any]]) -> dict[str, Any]:
    honest = by_seed[0]["honest"]
    accuracies = [result["accuracies"][honest] for result in by_seed]
    gains = [own - result["alone"]["accuracies"][honest] for own, result in zip(accuracies, by_seed, strict=True)]
    row = {
        "setting": setting,
        "attack": attack,
        "method": method,
        "honest_accuracy": mean_of(accuracies),
        "success_accuracy": mean_of([result["success"] for result in by_seed]),
        "gain_points": ", ".join(f"{100 * gain:+.1f}" for gain in gains),
        "adversary_accuracy": mean_of([result["accuracies"][1 - honest] for result in by_seed]),
    }
    if "kept" in by_seed[0]:
        students = sum(result["kept"][honest].startswith("smule") for result in by_seed)
        first = [min((alarm["exchange"] for alarm in result["alarms"][honest]), default=None) for result in by_seed]
        row["kept"] = f"{students} of {len(by_seed)}"
        row["alarms"] = ", ".join("never" if number is None else str(number) for number in first)
    return row
