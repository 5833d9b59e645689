"""What an adversary's poison does to the honest party, by how both train together.

    python benchmarks/poisoning.py --data digits
    python benchmarks/poisoning.py --data idx --path FOLDER --max-train 20000 --epochs 20 --seeds 0 1 2

Party b attacks, party a is honest and trains alone, with SMuLe under each trust rule and with the alarm, by FedAvg, or
on pooled data, which is what training wholly under secret sharing computes. One process, plaintext: a simulation.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch
from figures_file import write_figures
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import Outcome, Problem, alone, fedavg, pooled, smule

from smule_crypten.config import AttackConfig, TrustName

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
    **{f"SMuLe, {rule}": lambda problem, rule=rule: smule(problem, rule) for rule in get_args(TrustName)},
    "SMuLe, none, quarantine": lambda problem: smule(problem, "none", "quarantine"),
    "FedAvg": fedavg,
    "pooled": pooled,
}
DOES_NOT_APPLY = {("FedAvg", "trigger_answers"), ("pooled", "answers"), ("pooled", "trigger_answers")}
"""Weights of another architecture cannot be averaged; on pooled data nobody answers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    print("| attack | training | accuracy, % | attack success, % | adversary's accuracy, % | first alarm, by seed |")
    print("|---|---|---|---|---|---|")
    rows = []
    for name in arguments.attacks:
        attack = ATTACKS[name]
        problems = [Problem.load(setting, seed, attack) for seed in arguments.seeds]
        for method in arguments.methods:
            if (method, attack.name) in DOES_NOT_APPLY:
                continue
            rows.append(measure(name, method, problems))
            print(line(rows[-1]), flush=True)
    if arguments.output:
        write_figures(Path(arguments.output), "poisoning", 1, {"setting": vars(arguments), "rows": rows})


def measure(attack: str, method: str, problems: list[Problem]) -> dict[str, object]:
    """Means over the seeds for party a, and the adversary's own accuracy; success is None for mere harm."""
    results, adversary, alarms = [], [], []
    for problem in problems:
        outcome = METHODS[method](problem)
        results.append(problem.measured(outcome.models[0]))
        adversary.append(problem.measured(outcome.models[1])["accuracy"])
        alarms.append(min((alarm["exchange"] for alarm in outcome.alarms), default=None))
    successes = [result["success"] for result in results]
    return {
        "attack": attack,
        "method": method,
        "accuracy": statistics.mean(result["accuracy"] for result in results),
        "success": None if None in successes else statistics.mean(successes),
        "adversary_accuracy": statistics.mean(adversary),
        "accuracies": [result["accuracy"] for result in results],
        "successes": successes,
        "first_alarms": alarms,
    }


def line(row: dict[str, object]) -> str:
    success = "–" if row["success"] is None else f"{100 * row['success']:.1f}"
    figures = f"{100 * row['accuracy']:.1f} | {success} | {100 * row['adversary_accuracy']:.1f} | {row['first_alarms']}"
    return f"| {row['attack']} | {row['method']} | {figures} |"


if __name__ == "__main__":
    main()
