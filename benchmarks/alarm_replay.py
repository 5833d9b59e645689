"""The alarm on many runs of the same networks: the answers of honest and lying peers, asked for anew each time.

    python benchmarks/alarm_replay.py --data image_folder --path FOLDER --max-train 20000 --queries 148 --work WORK

Trains both parties alone, or takes the networks that poisoning.py kept in --work, and draws --draws runs of what each
would be asked in the first --exchanges of --of exchanges. Networks do not change between exchanges, and runs share
them, so that these are no independent runs; a drop is never tested. One process, plaintext: a simulation.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch
from alarms import KINDS, liar
from figures_file import write_figures
from poisoning_settings import add_setting_arguments, setting_of
from poisoning_simulation import CPU, Problem

from smule_crypten.config.sections import AttackConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import LabelledImages
from smule_crypten.training.alarm import PeerWatch
from smule_crypten.training.evaluate import predict_logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_setting_arguments(parser)
    parser.add_argument("--draws", type=int, default=20, help="runs for each party and seed (default 20)")
    parser.add_argument("--exchanges", type=int, default=6, help="that are looked at (default 6)")
    parser.add_argument("--of", type=int, default=16, help="exchanges of the whole run (default 16)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(arguments)
    bundle = load_data(setting.data)
    found: dict[str, Counter[int | None]] = {kind: Counter() for kind in ("honest", *KINDS)}
    for seed in arguments.seeds:
        problem = Problem.load(setting, bundle, seed, AttackConfig())
        for rank in (0, 1):
            samples = problem.train[rank].with_others(problem.validation[rank])
            for kind, counter in found.items():
                answers = logits_of(problem, rank, samples, kind, arguments.exchanges)
                counter.update(
                    first_alarm(problem, samples.labels_N, answers, draw, arguments.of)
                    for draw in range(arguments.draws)
                )
    print("| answers | runs | alarm in the first exchange | in the second | later | never |\n|---|---|---|---|---|---|")
    rows = [row(kind, counter) for kind, counter in found.items()]
    for cells in rows:
        print("| " + " | ".join(map(str, cells.values())) + " |")
    if arguments.output:
        told = {key: str(value) for key, value in vars(arguments).items()}
        write_figures(Path(arguments.output), "alarm_replay", 1, {"setting": told, "rows": rows})


def logits_of(problem: Problem, rank: int, samples: LabelledImages, kind: str, exchanges: int) -> list[torch.Tensor]:
    """What party `rank` would be answered about samples, exchange by exchange."""
    peer = problem.alone[1 - rank]
    if kind == "honest":
        networks = [peer]
    else:
        changing = exchanges if kind == "random" else 1  # only these answer otherwise each time
        attack = liar(problem, 1 - rank, kind)
        networks = [attack.answering(peer, number) for number in range(1, changing + 1)]
    answers = [predict_logits(network, samples.images_NCHW, 1000, CPU) for network in networks]
    return answers * (exchanges // len(networks))


def first_alarm(
    problem: Problem, labels_N: torch.Tensor, answers: list[torch.Tensor], draw: int, num_exchanges: int
) -> int | None:
    """The first exchange with an alarm in a run that asks about other samples at random each time."""
    count = problem.setting.exchange.num_queries or len(labels_N)
    order = torch.randperm(len(labels_N), generator=torch.Generator().manual_seed(1000 * problem.seed + draw))
    watch = PeerWatch(problem.num_classes, num_exchanges)
    for number, logits_NC in enumerate(answers, start=1):
        asked = order[(number - 1) * count : number * count]
        if watch.check(number, logits_NC[asked], labels_N[asked]):
            return number
    return None


def row(kind: str, counter: Counter[int | None]) -> dict[str, int | str]:
    later = sum(count for number, count in counter.items() if number is not None and number > 2)
    return {
        "answers": kind,
        "runs": counter.total(),
        "first": counter[1],
        "second": counter[2],
        "later": later,
        "never": counter[None],
    }


if __name__ == "__main__":
    main()
