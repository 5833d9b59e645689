"""What differentially private training costs in accuracy, and what it takes from membership inference.

    python benchmarks/dp_price.py --data digits --seeds 0 1 2 --epsilons 1 3 8
    python benchmarks/dp_price.py --data idx --path FOLDER --max-train 10000 --epochs 10

Both parties train alone and then from each other's answers, without and with training.dp at each epsilon (of both
trainings together). Membership: party a asks party b's network that was trained alone about party b's training samples
and about test samples. One process, plaintext: a simulation.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import CPU, Problem, smule
from torch import nn

from smule_crypten.attacks.membership import membership_risk, scores
from smule_crypten.config.sections import AttackConfig, DpConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.training.private_trainer import PrivateTrainer, planned_noise
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer

COLUMNS = ("epsilon", "noise", "alone, %", "SMuLe, %", "membership, AUC", "found at 0.1 % false positives, %")


class PrivateProblem(Problem):
    """As Problem, its trainings private where the setting says so."""

    def network(self, rank: int) -> nn.Module:
        shape = self.test.images_NCHW.shape[1:]
        return build_model(self.setting.model, tuple(shape), self.num_classes, 2 * self.seed + rank)

    def trainer(self, rank: int, model: nn.Module, teacher: Teacher | None = None) -> Trainer:
        config = self.setting.training
        if config.dp is None:
            return super().trainer(rank, model, teacher)
        return PrivateTrainer(
            model=model,
            train=self.train[rank],
            config=config,
            device=CPU,
            noise_multiplier=self.noise(rank),
            key=insecure_key(2 * self.seed + rank, "alone" if teacher is None else "mutual learning"),
            stream=Stream,
            teacher=teacher,
        )

    def noise(self, rank: int) -> float:
        config = self.setting.training
        assert config.dp is not None
        return planned_noise(config, config.dp, len(self.train[rank]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 3.0, 8.0])
    parser.add_argument("--delta", type=float, default=1e-5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    bundle = load_data(setting.data)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    rows = []
    for epsilon in [None, *sorted(arguments.epsilons, reverse=True)]:
        dp = None if epsilon is None else DpConfig(target_epsilon=epsilon, delta=arguments.delta)
        training = setting.training.model_copy(update={"dp": dp, "trust": "none"})
        private = dataclasses.replace(setting, training=training)
        problems = [PrivateProblem.load(private, bundle, seed, AttackConfig()) for seed in arguments.seeds]
        rows.append({"epsilon": epsilon, "seeds": [measured(problem) for problem in problems]})
        print(line(rows[-1]), flush=True)
    if arguments.output:
        told = {key: str(value) for key, value in vars(arguments).items()}
        write_figures(Path(arguments.output), "dp_price", 1, {"setting": told, "rows": rows})


def measured(problem: PrivateProblem) -> dict[str, Any]:
    """Accuracies are means of both parties."""
    students = smule(problem, "none").models
    alone = problem.alone
    found = []
    for part in (problem.train[1], problem.test):
        own, asked = (predict_logits(model, part.images_NCHW, 512, CPU) for model in alone)
        found.append(scores(asked, part.labels_N, own))
    risk = membership_risk(*found)
    return {
        "alone": statistics.mean(problem.measured(model)["accuracy"] or 0.0 for model in alone),
        "smule": statistics.mean(problem.measured(model)["accuracy"] or 0.0 for model in students),
        "noise": 0.0 if problem.setting.training.dp is None else problem.noise(0),
        "membership_auc": risk.auc,
        "membership_found": risk.true_positives,
    }


def line(row: dict[str, Any]) -> str:
    mean = {key: statistics.mean(found[key] for found in row["seeds"]) for key in row["seeds"][0]}
    epsilon = "none" if row["epsilon"] is None else f"{row['epsilon']:g}"
    figures = [f"{mean['noise']:.2f}", f"{100 * mean['alone']:.1f}", f"{100 * mean['smule']:.1f}"]
    figures += [f"{mean['membership_auc']:.3f}", f"{100 * mean['membership_found']:.2f}"]
    return f"| {epsilon} | {' | '.join(figures)} |"


if __name__ == "__main__":
    main()
