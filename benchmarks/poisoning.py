"""What an adversary's poison does to the honest party, by how both train together.

    python benchmarks/poisoning.py --data digits
    python benchmarks/poisoning.py --data idx --path FOLDER --max-train 20000 --seeds 0 1 2 --work WORK

Party b attacks, party a is honest and trains alone, with SMuLe under each trust rule and with the alarm, by FedAvg, or
on pooled data, which is what training wholly under secret sharing computes. Everything but the trust rule is as
delivered. One process, plaintext: a simulation. With --work finished cases are kept, so that a run that was cut off
goes on; several processes may share the folder.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch
from figures_file import write_figures
from learning_cases import Kept, read
from poisoning_plot import draw
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import Outcome, Problem, Setting, alone, fedavg, pooled, smule

from smule_crypten.config.sections import AttackConfig, TrustName
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import DataBundle

ATTACKS: dict[str, AttackConfig] = {
    "none": AttackConfig(),
    "40 % of labels flipped": AttackConfig(name="label_flip", options={"fraction": 0.4}),
    "all labels 1 -> 9": AttackConfig(name="label_flip", options={"fraction": 1.0, "source": 1, "target": 9}),
    "backdoor, patch": AttackConfig(name="backdoor"),
    "backdoor, blended": AttackConfig(name="backdoor", options={"trigger": "blended", "opacity": 0.2}),
    "backdoor, clean label": AttackConfig(name="backdoor", options={"clean_label": True, "fraction": 0.8}),
    **{
        f"answers {kind}": AttackConfig(name="answers", options={"kind": kind, "source": 1, "target": 9})
        for kind in ("random", "constant", "inverted", "targeted", "stealthy")
    },
    "answers inverted from exchange 3": AttackConfig(name="answers", options={"from_exchange": 3}),
    "answers lean to the trigger": AttackConfig(name="trigger_answers"),
}
Method = Callable[[Problem], Outcome]
METHODS: dict[str, Method] = {
    "alone": alone,
    **{f"SMuLe, {rule}": lambda problem, rule=rule: smule(problem, rule, "report") for rule in get_args(TrustName)},
    "SMuLe, none, quarantine": lambda problem: smule(problem, "none", "quarantine"),
    "FedAvg": fedavg,
    "pooled": pooled,
}
COLUMNS = (
    "attack",
    "training",
    "accuracy, %",
    "attack success, %",
    "adversary's accuracy, %",
    "kept its student",
    "first alarm, by seed",
)
DOES_NOT_APPLY = {("FedAvg", "trigger_answers"), ("pooled", "answers"), ("pooled", "trigger_answers")}
"""Weights of another architecture cannot be averaged; on pooled data nobody answers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--finished", action="store_true", help="only cases that --work has already; run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    bundle = None if arguments.finished else load_data(setting.data)
    rows = []
    for method in arguments.methods:
        for attack in arguments.attacks:
            if (method, ATTACKS[attack].name) in DOES_NOT_APPLY:
                continue
            cases = [case(setting, bundle, attack, method, seed) for seed in arguments.seeds]
            if None in cases:
                continue
            rows.append(summary(attack, method, cases))
            print(line(rows[-1]), flush=True)
    if arguments.output:
        figures = {"setting": {key: str(value) for key, value in vars(arguments).items()}, "rows": rows}
        write_figures(Path(arguments.output), "poisoning", 1, figures)
        draw(rows, Path(arguments.output).with_suffix(".svg"))


def case(setting: Setting, bundle: DataBundle | None, attack: str, method: str, seed: int) -> dict[str, Any] | None:
    """Accuracies and success of 0 to 1 on the test images; success is None for mere harm. None for a case that is not
    finished, where there is no bundle to run it on."""
    name = f"{attack}/{method}/{seed}"
    if bundle is None:
        path = None if setting.kept is None else Kept(setting.kept).path(name)
        return read(path) if path is not None and path.exists() else None

    def compute() -> dict[str, Any]:
        assert bundle is not None
        problem = Problem.load(setting, bundle, seed, ATTACKS[attack])
        outcome = METHODS[method](problem)
        alone_still = setting.only_honest and method.startswith("SMuLe")
        return {
            **problem.measured(outcome.models[0]),
            "adversary_accuracy": None if alone_still else problem.measured(outcome.models[1])["accuracy"],
            "kept": outcome.kept,
            "first_alarm": min((alarm["exchange"] for alarm in outcome.alarms), default=None),
        }

    if setting.kept is None:
        return compute()
    return Kept(setting.kept).get(name, compute)


def summary(attack: str, method: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds."""
    successes = [found["success"] for found in cases]
    adversary = [found["adversary_accuracy"] for found in cases]
    return {
        "attack": attack,
        "method": method,
        "accuracy": statistics.mean(found["accuracy"] for found in cases),
        "success": None if None in successes else statistics.mean(successes),
        "adversary_accuracy": None if None in adversary else statistics.mean(adversary),
        "accuracies": [found["accuracy"] for found in cases],
        "successes": successes,
        "students_kept": [found["kept"].startswith("smule") for found in cases],
        "first_alarms": [found["first_alarm"] for found in cases],
    }


def line(row: dict[str, Any]) -> str:
    keys = ("accuracy", "success", "adversary_accuracy")
    percent = ["–" if row[key] is None else f"{100 * row[key]:.1f}" for key in keys]
    students = row["students_kept"]
    kept = f"{sum(students)} of {len(students)}" if row["method"].startswith("SMuLe") else "–"
    figures = " | ".join([*percent, kept, str(row["first_alarms"])])
    return f"| {row['attack']} | {row['method']} | {figures} |"


if __name__ == "__main__":
    main()
