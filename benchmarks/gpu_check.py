"""What a GPU computes beside the CPU: tests marked `gpu`, a training, an exchange by each scheme (scripts/gpu-check).

- Tests: all that are marked `gpu`. One that is skipped counts as failed here.
- Training: the reference network on synthetic images, from the same weights and batches: the losses of each epoch
  within TRAINING_TOLERANCE. Kernels of the two devices add in another order, so equal bits are not promised.
- Exchanges: both parties as processes, from the same seeded streams, on either device. Schemes of integers give equal
  bits; the plain one is compared within LOGIT_TOLERANCE. Seconds are those of one exchange after another one: a figure
  to look at, no measurement. The table says what a scheme computes on the device, as docs/limitations.md does.

Nothing begins after LIMIT_SECONDS: what would is told as left out, and counts as failed.

Exit codes: 0 all as promised; 1 something is not; 77 without a GPU, after one line that says so.

    scripts/gpu-check --output gpu.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from figures_file import write_figures
from party_processes import barrier_group, in_both_parties, session_of
from reference_task import INPUT_SHAPE, NUM_CLASSES, Task, prepared_scheme, queries_of
from rich.console import Console
from rich.table import Table

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import LaunchConfig, ModelConfig, SchemeConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.models.zoo import build_model
from smule_crypten.party.events import Emit
from smule_crypten.training.trainer import Trainer

NO_GPU = 77
LIMIT_SECONDS = 460.0
TESTS_SECONDS = 150.0
"""The longest that the tests may take."""
QUERIES, EPOCHS, TRAINING_SAMPLES = 32, 2, 2048
TRAINING_TOLERANCE, LOGIT_TOLERANCE = 0.02, 1e-4
SCHEMES = {
    "lean": "all but streams",
    "two_party": "products of the model owner",
    "crypten": "nothing: its shares stay on the CPU",
    "plaintext": "nothing: float64 on the CPU",
}
"""What is computed on the device."""
EXACT = ("lean", "two_party", "crypten")


@dataclass(frozen=True)
class Line:
    """Of the table. seconds: on the CPU and on the device; None where only one was asked."""

    what: str
    on_device: str
    promised: str
    found: str
    is_kept: bool
    cpu_seconds: float | None = None
    device_seconds: float | None = None


@dataclass(frozen=True)
class Answers:
    """Of one exchange: logits of both parties' queries."""

    logits: list[torch.Tensor]
    seconds: float


def compared(scheme: str, ours: Answers, theirs: Answers) -> Line:
    """An exchange on the CPU with the same one on the device."""
    error = max(_furthest(one, other) for one, other in zip(ours.logits, theirs.logits, strict=True))
    is_equal = all(torch.equal(one, other) for one, other in zip(ours.logits, theirs.logits, strict=True))
    is_exact = scheme in EXACT
    return Line(
        what=f"exchange, {scheme}",
        on_device=SCHEMES[scheme],
        promised="equal bits" if is_exact else f"logits within {LOGIT_TOLERANCE:g}",
        found="equal bits" if is_equal else f"off by {error:.2g}",
        is_kept=is_equal if is_exact else error <= LOGIT_TOLERANCE,
        cpu_seconds=ours.seconds,
        device_seconds=theirs.seconds,
    )


def _furthest(one: torch.Tensor, other: torch.Tensor) -> float:
    if one.shape != other.shape or not (one.isfinite().all() and other.isfinite().all()):
        return float("inf")
    return float((one - other).abs().max())


def compared_trainings(ours: tuple[list[float], float], theirs: tuple[list[float], float]) -> Line:
    """Losses of each epoch, and seconds."""
    one_E, other_E = torch.tensor(ours[0]), torch.tensor(theirs[0])
    off = _furthest(one_E / one_E, other_E / one_E)
    return Line(
        what=f"training, {len(one_E)} epochs",
        on_device="all",
        promised=f"losses within {100 * TRAINING_TOLERANCE:g} %",
        found=f"off by {100 * off:.2g} %",
        is_kept=off <= TRAINING_TOLERANCE,
        cpu_seconds=ours[1],
        device_seconds=theirs[1],
    )


def trained(device: torch.device) -> tuple[list[float], float]:
    """Losses of each epoch, and the seconds of the last one."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(TRAINING_SAMPLES) % NUM_CLASSES
    patterns = torch.randn(NUM_CLASSES, *INPUT_SHAPE, generator=generator)
    inputs = patterns[labels_N] + torch.randn(TRAINING_SAMPLES, *INPUT_SHAPE, generator=generator)
    network = build_model(ModelConfig(name="small_convnet"), INPUT_SHAPE, NUM_CLASSES, seed=0)
    samples = Samples(inputs, labels_N, torch.arange(TRAINING_SAMPLES))
    trainer = Trainer(model=network, train=samples, config=TrainingConfig(epochs=EPOCHS), seed=0, device=device)
    results = [trainer.run_epoch() for _ in range(EPOCHS)]
    return [result.loss for result in results], results[-1].seconds


def exchange(
    emit: Emit, launch: LaunchConfig, config: SchemeConfig, device: str, queries: int
) -> tuple[npt.NDArray[np.float32], float]:
    """In one party, the second of two exchanges: logits, which leave the process by value, and seconds."""
    task = Task.of_size(queries, queries)
    with_dealer = scheme_traits(config.name).needs_dealer
    with (
        barrier_group(),
        session_of(0, launch, config.precision_bits, with_dealer=with_dealer, randomness="seeded_insecure") as session,
    ):
        scheme, answerer = prepared_scheme(session, task, config, torch.device(device))
        for index in (1, 2):
            own = queries_of(task, session.rank, index)
            scheme.begin(index, task.counts)
            scheme.announce({})
            started = time.perf_counter()
            found = scheme.exchange(answerer, own[session.rank], own[1 - session.rank])
            seconds = time.perf_counter() - started
        return found.logits_NC.numpy(), seconds


def exchanged(scheme: str, device: str, queries: int) -> Answers:
    sessions = int(scheme_traits(scheme).needs_dealer)
    parties = in_both_parties(exchange, SchemeConfig(name=scheme), device, queries, threads=1, dealt_sessions=sessions)
    logits, seconds = zip(*parties[:2], strict=True)
    return Answers([torch.from_numpy(one) for one in logits], max(seconds))


def tested(seconds: float) -> Line:
    """All tests marked `gpu`: passed, and none skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "gpu", "-o", "addopts=--strict-markers", "tests"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        last = (run.stdout.strip().splitlines() or [run.stderr.strip()[-200:]])[-1]
        is_kept = run.returncode == 0 and "skipped" not in last
    except subprocess.TimeoutExpired:
        last, is_kept = f"not done after {seconds:.0f} s", False
    return Line("tests marked gpu", "all", "all pass", last, is_kept)


def steps(device: str, queries: int, *, with_tests: bool) -> list[tuple[str, Callable[[], Line]]]:
    """In order; each by its name."""
    found: list[tuple[str, Callable[[], Line]]] = []
    if with_tests:
        found.append(("tests marked gpu", partial(tested, TESTS_SECONDS)))
    found.append(("training", lambda: compared_trainings(trained(torch.device("cpu")), trained(torch.device(device)))))
    for scheme in SCHEMES:

        def both(scheme: str = scheme) -> Line:
            return compared(scheme, exchanged(scheme, "cpu", queries), exchanged(scheme, device, queries))

        found.append((f"exchange, {scheme}", both))
    return found


def run_all(todo: list[tuple[str, Callable[[], Line]]], limit_seconds: float) -> list[Line]:
    """What does not begin in time is left out, and what fails is a line, too."""
    until, lines = time.monotonic() + limit_seconds, []
    for name, step in todo:
        if time.monotonic() >= until:
            lines.append(Line(name, "", "", f"left out: {limit_seconds:.0f} s are over", is_kept=False))
            continue
        try:
            lines.append(step())
        except Exception as error:  # whatever a device raises is what this script is there to tell
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            lines.append(Line(name, "", "", reason, is_kept=False))
    return lines


def show(device: str, lines: list[Line]) -> None:
    table = Table("", f"on {device}", "promised", "found", "CPU s", f"{device} s", "", title=f"{device} beside the CPU")
    for line in lines:
        seconds = ["" if value is None else f"{value:.3f}" for value in (line.cpu_seconds, line.device_seconds)]
        kept = "ok" if line.is_kept else "FAILED"
        table.add_row(line.what, line.on_device, line.promised, line.found, *seconds, kept)
    Console(width=150).print(table)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="as torch names it (default cuda)")
    parser.add_argument("--output", type=Path, help="also write the table to this JSON file")
    # What is compared with itself on a machine without a GPU: whether this script works, and nothing else.
    parser.add_argument("--queries", type=int, default=QUERIES, help=argparse.SUPPRESS)
    parser.add_argument("--without-tests", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        print("no GPU is at hand: torch sees no CUDA device, and nothing was checked")
        return NO_GPU
    lines = run_all(steps(options.device, options.queries, with_tests=not options.without_tests), LIMIT_SECONDS)
    show(options.device, lines)
    if options.output is not None:
        figures: dict[str, Any] = {"device": options.device, "lines": [asdict(line) for line in lines]}
        write_figures(options.output, "gpu_check", 1, figures, device=options.device)
    return 0 if all(line.is_kept for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
