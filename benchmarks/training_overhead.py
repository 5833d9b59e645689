"""What the trainer costs beside a minimal PyTorch loop that does the same steps.

Plaintext training of the reference network (three times convolution 3x3, average pooling 2, ReLU with 16, 32 and 64
channels, then a linear layer) on random images of CIFAR's size, without soft labels. Both sides take turns, an epoch
each; the overhead is the median over the pairs. Exits with 1 where it is above the limit.

    python benchmarks/training_overhead.py --threads 1 --repeats 7 --output overhead.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.files import write_atomic
from smule_crypten.training.optimizer import build_optimizer
from smule_crypten.training.trainer import Trainer

LIMIT = 1.1
CPU = torch.device("cpu")


def make_network() -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels_in, channels_out in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.AvgPool2d(2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 10))


def make_data(num_samples: int) -> Samples:
    generator = torch.Generator().manual_seed(0)
    inputs_NX = torch.randn(num_samples, 3, 32, 32, generator=generator)
    labels_N = torch.randint(0, 10, (num_samples,), generator=generator)
    return Samples(inputs_NX, labels_N, torch.arange(num_samples))


def minimal_loop(data: Samples, config: TrainingConfig) -> Callable[[], None]:
    """The loop that one would write for this network alone; nothing is measured, checked or repeatable."""
    network = make_network()
    steps = -(-len(data) // config.batch_size)
    optimizer, scheduler = build_optimizer(network, config.optimizer, config.epochs * steps)
    clip = config.optimizer.gradient_clip

    def epoch() -> None:
        for index_B in torch.randperm(len(data)).tensor_split(steps):
            loss = F.cross_entropy(network(data.inputs[index_B]), data.targets[index_B])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            scheduler.step()

    return epoch


def measure(num_samples: int, repeats: int) -> dict[str, list[float]]:
    """Seconds an epoch of both sides, taking turns, after one warm-up epoch each."""
    data = make_data(num_samples)
    config = TrainingConfig(epochs=repeats + 1, batch_size=128)
    trainer = Trainer(model=make_network(), train=data, config=config, seed=0, device=CPU)
    sides: dict[str, Callable[[], object]] = {"minimal loop": minimal_loop(data, config), "trainer": trainer.run_epoch}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, epoch in sides.items():
            started = time.perf_counter()
            epoch()
            seconds[name].append(time.perf_counter() - started)
    return {name: values[1:] for name, values in seconds.items()}


def summarize(seconds: dict[str, list[float]], median_ratio: float, arguments: argparse.Namespace) -> dict[str, object]:
    return {
        "benchmark": "training_overhead",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", *sys.argv],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "hardware": {"processor": platform.processor() or platform.machine(), "threads": arguments.threads},
        "samples": arguments.samples,
        "epoch_seconds": seconds,
        "median_ratio": median_ratio,
        "limit": LIMIT,
    }


def show(seconds: dict[str, list[float]], median_ratio: float, title: str) -> None:
    table = Table("side", "median s/epoch", "quartiles", title=title)
    for name, values in seconds.items():
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        table.add_row(name, f"{middle:.3f}", f"{low:.3f} to {high:.3f}")
    console = Console()
    console.print(table)
    verdict = "within" if median_ratio <= LIMIT else "ABOVE"
    console.print(f"median ratio trainer / minimal loop: {median_ratio:.3f}, {verdict} the limit of {LIMIT}")


def positive(text: str, minimum: int = 1) -> int:
    value = int(text)
    if value < minimum:
        raise argparse.ArgumentTypeError(f"must be at least {minimum}")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=positive, default=1, help="PyTorch threads (default 1)")
    parser.add_argument("--repeats", type=lambda text: positive(text, 2), default=7, help="epochs a side (default 7)")
    parser.add_argument("--samples", type=lambda text: positive(text, 128), default=10_000, help="(default 10000)")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = measure(arguments.samples, arguments.repeats)
    pairs = zip(seconds["trainer"], seconds["minimal loop"], strict=True)
    median_ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    show(seconds, median_ratio, f"{arguments.samples} samples, {arguments.threads} thread(s)")
    if arguments.output is not None:
        summary = summarize(seconds, median_ratio, arguments)
        write_atomic(arguments.output, lambda file: file.write(json.dumps(summary, indent=2).encode()))
    return 0 if median_ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
