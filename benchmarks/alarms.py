"""How often the alarm fires at honest peers, and how soon at poisoned answers.

    python benchmarks/alarms.py --data digits --seeds 0 1 2 3 4 --work WORK

Runs of IID and Dirichlet splits (alpha 0.5 and 0.1), both parties honest. In each exchange the same questions are also
answered by each kind of attack=answers; nobody learns from these. The tests of either party then see the honest answers
of a whole run, or poisoned ones from the first exchange or from the third on. With --known N only the first half of the
first exchange's answers, and N of each later one, have a known label, as with an unlabelled pool. One process,
plaintext: a simulation. With --work the answers are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any, get_args

import torch
from figures_file import write_figures
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import CPU, Problem, Setting, found, smule

from smule_crypten.attacks.answers import AnswersOptions
from smule_crypten.attacks.attack import Attack
from smule_crypten.attacks.table import make_attack
from smule_crypten.config.sections import AttackConfig, PartitionConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import DataBundle
from smule_crypten.files import write_atomic
from smule_crypten.training.alarm import Alarm, PeerWatch
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import centred

PARTITIONS = {
    "iid": PartitionConfig(name="iid"),
    "Dirichlet 0.5": PartitionConfig(name="dirichlet", alpha=0.5),
    "Dirichlet 0.1": PartitionConfig(name="dirichlet", alpha=0.1),
}
KINDS = get_args(AnswersOptions.model_fields["kind"].annotation)
Answers = dict[str, list[torch.Tensor]]
"""Of a run, exchange by exchange: "labels", and the logits by "honest" and by each of KINDS."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    parser.add_argument("--partitions", nargs="+", choices=list(PARTITIONS), default=list(PARTITIONS))
    parser.add_argument("--known", type=int, help="answers of known label in each exchange but the first")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    bundle = load_data(setting.data)
    runs = {
        name: [
            _cut(answers, arguments.known)
            for seed in arguments.seeds
            for answers in answers_of(setting, bundle, name, seed)
        ]
        for name in arguments.partitions
    }
    print("| honest peers | runs | exchanges | runs with an alarm | exchanges with an alarm |\n|---|---|---|---|---|")
    honest = [honest_row(name, of_name) for name, of_name in runs.items()]
    for row in honest:
        print("| " + " | ".join(str(row[key]) for key in list(row)[:5]) + " |", flush=True)
    print("\n| poisoned answers | from exchange | split | alarm in the first | in the second | later | never | tests |")
    print("|---|---|---|---|---|---|---|---|")
    poisoned = [
        poisoned_row(kind, first, name, of_name) for kind in KINDS for first in (1, 3) for name, of_name in runs.items()
    ]
    for row in poisoned:
        print("| " + " | ".join(str(row[key]) for key in list(row)[:8]) + " |", flush=True)
    if arguments.output:
        told = {key: str(value) for key, value in vars(arguments).items()}
        write_figures(Path(arguments.output), "alarms", 1, {"setting": told, "honest": honest, "poisoned": poisoned})


def answers_of(setting: Setting, bundle: DataBundle, partition: str, seed: int) -> list[Answers]:
    """What party a and party b were answered."""
    path = None
    if setting.kept is not None:
        setting = dataclasses.replace(setting, kept=setting.kept / partition.replace(" ", "_"))
        path = setting.kept / f"answers_{seed}.pt"
        if path.exists():
            return torch.load(path, weights_only=True)
    setting = dataclasses.replace(setting, partition=PARTITIONS[partition])
    problem = Problem.load(setting, bundle, seed, AttackConfig())
    exchanges = smule(problem, "adaptive").exchanges
    both = [_answers(problem, rank, [exchange[rank] for exchange in exchanges]) for rank in (0, 1)]
    if path is not None:
        write_atomic(path, lambda file: torch.save(both, file))
        print(f"{path} written", flush=True)
    return both


def _answers(problem: Problem, rank: int, asked: list[tuple[torch.Tensor, torch.nn.Module]]) -> Answers:
    """Of party `rank` as the honest one; asked: in each exchange the samples, and the peer's own network."""
    own = problem.train[rank].with_others(problem.validation[rank])
    answers: Answers = {name: [] for name in ("labels", "honest", *KINDS)}
    attacks = {kind: liar(problem, 1 - rank, kind) for kind in KINDS}
    for number, (sample_ids, peer) in enumerate(asked, start=1):
        images = found(own, sample_ids)
        answers["labels"].append(images.labels_N)
        networks = {"honest": peer} | {kind: attack.answering(peer, number) for kind, attack in attacks.items()}
        for name, network in networks.items():
            answers[name].append(centred(predict_logits(network, images.images_NCHW, 512, CPU)))
    return answers


def liar(problem: Problem, rank: int, kind: str) -> Attack:
    """Party `rank`, whose data are honest and whose answers are poisoned, as an adversary."""
    config = AttackConfig(name="answers", options={"kind": kind, "source": 1, "target": 9})
    return make_attack(config, problem.train[rank], problem.num_classes, 2 * problem.seed + rank)


def _cut(answers: Answers, known: int | None) -> Answers:
    """Held-out samples come first in an exchange."""
    if known is None:
        return answers
    return {
        name: [values[: len(values) // 2 if number == 0 else known] for number, values in enumerate(of_run)]
        for name, of_run in answers.items()
    }


def _alarms(answers: Answers, kind: str, first: int) -> list[Alarm]:
    """What the tests say of a run whose answers are poisoned from exchange `first` on."""
    labels = answers["labels"]
    watch = PeerWatch(answers["honest"][0].shape[1], len(labels))
    alarms = []
    for number, labels_N in enumerate(labels, start=1):
        logits_NC = answers[kind if number >= first else "honest"][number - 1]
        alarms += watch.check(number, logits_NC, labels_N)
    return alarms


def honest_row(partition: str, runs: list[Answers]) -> dict[str, Any]:
    alarms = [_alarms(answers, "honest", 1) for answers in runs]
    return {
        "partition": partition,
        "runs": len(runs),
        "exchanges": sum(len(answers["labels"]) for answers in runs),
        "runs_with_alarm": sum(bool(of_run) for of_run in alarms),
        "exchanges_with_alarm": sum(len({alarm.exchange for alarm in of_run}) for of_run in alarms),
        "alarms": [[alarm.as_plain() for alarm in of_run] for of_run in alarms],
    }


def poisoned_row(kind: str, first: int, partition: str, runs: list[Answers]) -> dict[str, Any]:
    """How many poisoned exchanges until the alarm, as numbers of runs; tests: which fired at first."""
    alarms = [_alarms(answers, kind, first) for answers in runs]
    # An alarm before is a false one.
    fired = [min((alarm.exchange for alarm in of_run if alarm.exchange >= first), default=None) for of_run in alarms]
    after = [None if exchange is None else exchange - first + 1 for exchange in fired]
    tests = {
        alarm.test
        for of_run, exchange in zip(alarms, fired, strict=True)
        for alarm in of_run
        if alarm.exchange == exchange
    }
    return {
        "kind": kind,
        "from_exchange": first,
        "partition": partition,
        "first": after.count(1),
        "second": after.count(2),
        "later": sum(number is not None and number > 2 for number in after),
        "never": after.count(None),
        "tests": ", ".join(sorted(tests)),
        "after": after,
    }


if __name__ == "__main__":
    main()
