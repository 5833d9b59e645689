"""Schemes `two_party` and `lean` beside scheme `crypten`: bytes, rounds, time, memory and errors, in one run.

Both parties own a network of one architecture, trained on CIFAR-10 (trained_networks.py), and ask about images of its
test set: an exchange of both directions, which crypten runs one after the other and the others at the same time. Each
party and, where a scheme needs it, the dealer are a process, over TLS on loopback. The schemes take turns, in a fresh
session each, so that they meet the same machine; the first turn warms up. Then both parties ask each scheme about 1,000
images once more for its errors, and fresh processes evaluate each scheme once for its peak memory.

Exits with 1 where a scheme misses a limit on the reference network (LIMITS in lean_figures.py). --networks measures
others instead, without limits: resnet8, trained for two epochs, resnet20 with the weights as initialised and
BatchNorm's statistics from images, and vgg11 of torchvision with the weights as initialised.

    python benchmarks/lean_scheme.py --data cifar10-folder --work work --repeats 9 --output lean.json
    python benchmarks/lean_scheme.py --data cifar10-folder --work work --networks resnet8,resnet20,vgg11
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from lean_figures import failures, show, summarize
from party_processes import barrier_group, in_both_parties, session_of
from reference_task import Run, Task, prepared_scheme, run_exchange
from trained_networks import Images, Subject, load_cifar10, trained

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import LaunchConfig, ModelConfig, SchemeConfig
from smule_crypten.files import write_atomic
from smule_crypten.party.events import Emit
from smule_crypten.torchvision_compat import load_torchvision


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network. samples and accuracy_samples: images that each party asks about, for the times and the errors; only
    party b asks where it is too large to be owned twice on this machine (one_way)."""

    model: ModelConfig
    epochs: int
    samples: int
    accuracy_samples: int
    micro_batch: int
    calibration_samples: int = 256
    wide_ring: int = 64
    one_way: bool = False
    schemes: tuple[str, ...] = ("two_party", "two_party narrow", "lean", "lean narrow", "lean wide", "crypten")


CASES = {
    "reference": Case(
        model=ModelConfig(name="small_convnet"), epochs=12, samples=64, accuracy_samples=1000, micro_batch=64
    ),
    "resnet8": Case(
        model=ModelConfig(name="resnet8"), epochs=2, samples=16, accuracy_samples=64, micro_batch=16, wide_ring=56
    ),
    "resnet20": Case(
        model=ModelConfig(name="resnet20"), epochs=0, samples=8, accuracy_samples=16, micro_batch=8, wide_ring=56
    ),
    "vgg11": Case(
        model=ModelConfig(name="torchvision", options={"arch": "vgg11"}),
        epochs=0,
        samples=2,
        accuracy_samples=2,
        micro_batch=2,
        calibration_samples=64,
        one_way=True,
    ),
}


def scheme_configs(case: Case) -> dict[str, SchemeConfig]:
    """What is measured, by the name in the tables."""
    micro_batch, wide = case.micro_batch, {**WIDE, "ring_bits": case.wide_ring}
    return {
        "two_party": SchemeConfig(name="two_party", micro_batch=micro_batch),
        "two_party narrow": SchemeConfig(
            name="two_party", micro_batch=micro_batch, precision_bits=12, options={"ring_bits": 28}
        ),
        "lean": SchemeConfig(name="lean", micro_batch=micro_batch, precision_bits=14, options=LEAN),
        "lean narrow": SchemeConfig(name="lean", micro_batch=micro_batch, precision_bits=12, options=NARROW),
        "lean wide": SchemeConfig(name="lean", micro_batch=micro_batch, precision_bits=20, options=wide),
        "crypten": SchemeConfig(name="crypten", micro_batch=micro_batch, precision_bits=16),
    }


LEAN = {"ring_bits": 32, "input_bits": 10, "block_bits": 4}
NARROW = {"ring_bits": 30, "input_bits": 10, "block_bits": 4}
WIDE = {"input_bits": 20, "block_bits": 4}


def take_turns(
    emit: Emit, launch: LaunchConfig, path: Path, configs: dict[str, SchemeConfig], turns: int
) -> dict[str, list[Run]]:
    """Runs in each party: every scheme once a turn, in a session of its own."""
    task = load_task(path)
    runs: dict[str, list[Run]] = {name: [] for name in configs}
    number = 0
    with barrier_group():
        for _ in range(turns):
            for name, config in configs.items():
                with_dealer = scheme_traits(config.name).needs_dealer
                with session_of(number, launch, config.precision_bits, with_dealer=with_dealer) as session:
                    scheme, answerer = prepared_scheme(session, task, config)
                    set_up = session.meter.total().bytes_sent
                    runs[name].append(replace(run_exchange(scheme, answerer, task, 1), set_up_bytes=set_up))
                number += 1
    return runs


def measured(path: Path, configs: dict[str, SchemeConfig], turns: int, threads: int) -> list[Any]:
    """The runs of party a and of party b, and the dealer's peak memory."""
    needs = [scheme_traits(config.name).needs_dealer for config in configs.values()] * turns
    dealt = [number for number, is_dealt in enumerate(needs) if is_dealt]
    return in_both_parties(take_turns, path, configs, turns, threads=threads, dealt_sessions=dealt)


def load_task(path: Path) -> Task:
    load_torchvision()  # before pickle does, which knows nothing of its repairs
    task: Task = torch.load(path, weights_only=False)  # written by this very run
    return task


def task_file(case: Case, subject: Subject, images: Images, counts: tuple[int, int], work: Path) -> Path:
    path = work / "task.pt"
    task = Task(
        network=subject.network,
        inputs=images.some_test(max(counts)),
        calibration_NX=images.some_train(case.calibration_samples),
        counts=counts,
    )
    write_atomic(path, lambda file: torch.save(task, file))
    return path


def measure_case(case: Case, images: Images, work: Path, repeats: int, threads: int) -> dict[str, Any]:
    subject = trained(case.model, case.epochs, images, work)
    configs = {name: scheme_configs(case)[name] for name in case.schemes}
    counts, accuracy_counts = ((0 if case.one_way else count, count) for count in (case.samples, case.accuracy_samples))
    path = task_file(case, subject, images, counts, work)
    timed = measured(path, configs, repeats + 1, threads)
    memory = {name: measured(path, {name: config}, 1, threads) for name, config in configs.items()}
    judged = measured(task_file(case, subject, images, accuracy_counts, work), configs, 1, threads)
    return {
        "epochs": case.epochs,
        "test_accuracy": subject.test_accuracy,
        "largest_logit": subject.largest_logit,
        "counts": counts,
        "accuracy_counts": accuracy_counts,
        "micro_batch": case.micro_batch,
        "schemes": {
            name: {
                "config": config.model_dump(),
                **summarize(
                    subject.network,
                    config,
                    counts,
                    [party[name][1:] for party in timed[:2]],
                    [party[name][0] for party in judged[:2]],
                    [*(party[name][0].peak_memory_bytes for party in memory[name][:2]), *memory[name][2:]],
                ),
            }
            for name, config in configs.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as folders train/ and test/ of images")
    parser.add_argument("--work", type=Path, required=True, help="folder for decoded images and trained networks")
    parser.add_argument("--networks", default="reference", help=f"of {', '.join(CASES)}, with commas")
    parser.add_argument("--schemes", help="only these, with commas")
    parser.add_argument("--samples", type=int, help="images that each party asks about")
    parser.add_argument("--accuracy-samples", type=int, help="the same where errors are measured")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads a process (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="turns after a warm-up, at least 2 (default 5)")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.repeats < 2:
        parser.error("--threads must be at least 1 and --repeats at least 2")
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(exist_ok=True)
    images = load_cifar10(arguments.data, arguments.work)
    given = {"samples": arguments.samples, "accuracy_samples": arguments.accuracy_samples}
    if arguments.schemes:
        given["schemes"] = tuple(arguments.schemes.split(","))
    by_network, found = {}, []
    for name in arguments.networks.split(","):
        case = replace(CASES[name], **{key: value for key, value in given.items() if value is not None})
        by_network[name] = measure_case(case, images, arguments.work, arguments.repeats, arguments.threads)
        show(name, by_network[name])
        if name == "reference":
            found += failures(by_network[name])
    if arguments.output is not None:
        write_figures(arguments.output, "lean_scheme", arguments.threads, {"networks": by_network})
    for failure in found:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
