"""How often the alarm fires at honest peers, and how soon at poisoned answers.

    python benchmarks/alarms.py --data digits --seeds 0 1 2 3 4

Honest: IID and Dirichlet splits (alpha 0.5 and 0.1), all seeds. Poisoned: each kind of attack=answers, from the first
exchange and from the third. One process, plaintext: a simulation. The networks are trained without quarantine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import Problem, Setting, smule

from smule_crypten.config import AttackConfig, PartitionConfig

PARTITIONS = {
    "iid": PartitionConfig(name="iid"),
    "Dirichlet 0.5": PartitionConfig(name="dirichlet", alpha=0.5),
    "Dirichlet 0.1": PartitionConfig(name="dirichlet", alpha=0.1),
}
KINDS = ("random", "constant", "inverted", "targeted", "stealthy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    print("| honest peers | exchanges | runs | runs with an alarm |\n|---|---|---|---|")
    honest = [honest_row(setting, name, arguments.seeds) for name in PARTITIONS]
    for row in honest:
        print(f"| {row['partition']} | {row['exchanges']} | {row['runs']} | {row['runs_with_alarm']} |", flush=True)
    print("\n| poisoned answers | from exchange | exchanges until the alarm, by seed | tests |\n|---|---|---|---|")
    poisoned = []
    for kind in KINDS:
        for first in (1, 3):
            poisoned.append(poisoned_row(setting, kind, first, arguments.seeds))
            print(f"| {kind} | {first} | {poisoned[-1]['alarms_after']} | {poisoned[-1]['tests']} |", flush=True)
    if arguments.output:
        figures: dict[str, Any] = {"setting": vars(arguments), "honest": honest, "poisoned": poisoned}
        write_figures(Path(arguments.output), "alarms", 1, figures)


def honest_row(setting: Setting, partition: str, seeds: list[int]) -> dict[str, Any]:
    outcomes = []
    for seed in seeds:
        honest = Setting(**(vars(setting) | {"partition": PARTITIONS[partition]}))
        outcomes.append(smule(Problem.load(honest, seed, AttackConfig()), "none", "report"))
    return {
        "partition": partition,
        "exchanges": sum(outcome.num_exchanges for outcome in outcomes),
        "runs": len(outcomes),
        "runs_with_alarm": sum(bool(outcome.alarms) for outcome in outcomes),
        "alarms": [outcome.alarms for outcome in outcomes],
    }


def poisoned_row(setting: Setting, kind: str, first: int, seeds: list[int]) -> dict[str, Any]:
    """alarms_after: how many poisoned exchanges until the alarm, one value a seed, None where it never fired."""
    attack = AttackConfig(name="answers", options={"kind": kind, "source": 1, "target": 9, "from_exchange": first})
    outcomes = [smule(Problem.load(setting, seed, attack), "none", "report") for seed in seeds]
    fired = [min((alarm["exchange"] for alarm in outcome.alarms), default=None) for outcome in outcomes]
    return {
        "kind": kind,
        "from_exchange": first,
        "alarms_after": [None if number is None else number - first + 1 for number in fired],
        "tests": sorted({alarm["test"] for outcome in outcomes for alarm in outcome.alarms}),
    }


if __name__ == "__main__":
    main()
