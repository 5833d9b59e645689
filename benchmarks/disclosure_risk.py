"""What an honest-but-curious party learns from answers: model extraction and membership, by number of queries and by
what is done to the answers.

    python benchmarks/disclosure_risk.py --data digits --budgets 50 200 500

Party b trains alone; party a asks. Options are those of answer_options.py; learning.py --answers tells what they
cost an honest peer. One process, plaintext: a simulation.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any, get_args

import torch
from answer_options import Option, options
from figures_file import write_figures
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import CPU, Problem

from smule_crypten.attacks.extraction import Selection, extract, fidelity
from smule_crypten.attacks.membership import membership_risk, scores
from smule_crypten.config.sections import AttackConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.training.evaluate import predict_logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    parser.add_argument("--budgets", type=int, nargs="+", default=[50, 200, 500])
    parser.add_argument("--options", nargs="+", choices=list(options()), default=list(options()))
    parser.add_argument(
        "--selections", nargs="+", choices=get_args(Selection), default=list(get_args(Selection)), help="of queries"
    )
    parser.add_argument("--steps", type=int, default=400, help="of the surrogate's training, or of each round of it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    bundle = load_data(setting.data)
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        problem = Problem.load(setting, bundle, seed, AttackConfig())
        rows += measure(problem, arguments)
    for row in _means(rows):
        print(row.pop("option"))
        for name, value in row.items():
            print(f"    {name}: {value:.3f}")
    if arguments.output:
        write_figures(
            Path(arguments.output),
            "disclosure_risk",
            1,
            {"setting": {key: str(value) for key, value in vars(arguments).items()}, "rows": rows},
        )


def measure(problem: Problem, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each option: fidelity of the stolen model by budget and selection, and the membership risk."""
    models = problem.alone
    members, others = problem.train[1], problem.test
    rows = []
    for name in arguments.options:
        option = options()[name]

        def answer(images: torch.Tensor, option: Option = option) -> torch.Tensor:
            return option(predict_logits(models[1], images, 512, CPU))

        row: dict[str, Any] = {"option": name}
        for selection in arguments.selections:
            for budget in arguments.budgets:
                stolen = extract(
                    answer,
                    problem.train[0].images_NCHW,
                    lambda: problem.network(0),
                    budget,
                    selection,
                    steps=arguments.steps,
                    seed=problem.seed,
                )
                row[f"fidelity, {selection}, {budget}"] = fidelity(
                    lambda images, stolen=stolen: predict_logits(stolen, images, 512, CPU),
                    lambda images: predict_logits(models[1], images, 512, CPU),
                    problem.test.images_NCHW,
                )
        for kind, own in (("loss", None), ("calibrated", models[0])):
            found = [
                scores(
                    answer(part.images_NCHW),
                    part.labels_N,
                    None if own is None else predict_logits(own, part.images_NCHW, 512, CPU),
                )
                for part in (members, others)
            ]
            risk = membership_risk(*found)
            row |= {f"AUC, {kind}": risk.auc, f"TPR at 0.1 % FPR, {kind}": risk.true_positives}
        rows.append(row)
    return rows


def _means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over the seeds."""
    names = dict.fromkeys(row["option"] for row in rows)
    of = {name: [row for row in rows if row["option"] == name] for name in names}
    return [
        {
            "option": name,
            **{key: statistics.mean(row[key] for row in of[name]) for key in of[name][0] if key != "option"},
        }
        for name in names
    ]


if __name__ == "__main__":
    main()
