"""Secure inference with scheme `crypten` beside a bare CrypTen script that evaluates the same network.

Party a owns the reference network (small_convnet, channels 16, 32, 64), party b owns 64 images of 3x32x32 and learns
the logits. Two processes serve both sides, which take turns after a warm-up, so that both meet the same machine. Our
side talks over TLS on loopback, the bare side over gloo. The bare side is stock CrypTen: `crypten.init()`, its
Mersenne Twister streams, its collectives and its trusted first party; only the repairs without which it cannot be
imported (mpc/compat.py) are shared.

Then fresh processes measure peak memory, ours with micro_batch=16 for 16, 64 and 256 images.

Exits with 1 where our side sends more bytes, takes more than 1.1 times as long, needs memory that grows with the
number of images, or where a side computes wrong logits (both are centred: ours are
opened without what is common to the classes of a sample).

    python benchmarks/secure_inference.py --threads 1 --repeats 9 --output inference.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import bare_crypten
import torch
import torch.distributed as dist
from figures_file import write_figures
from party_processes import in_both_parties, session_of
from reference_task import DATA_OWNER, MODEL_OWNER, NUM_SAMPLES, Run, Task, prepared_scheme, run_exchange
from rich.console import Console
from rich.table import Table

from smule_crypten.config.sections import LaunchConfig, SchemeConfig
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.session import Session
from smule_crypten.party.events import Emit

SIDES = ("ours", "bare")
PRECISION_BITS = 16
LIMIT = 1.1
TOLERANCE = 1e-3
MEMORY_MICRO_BATCH, MEMORY_SAMPLES = 16, (16, 64, 256)
MEMORY_LIMIT = 1.2
"""Peak of the largest number of images over that of the smallest: the images themselves and noise."""


def run_ours(session: Session, task: Task, micro_batch: int) -> Run:
    config = SchemeConfig(name="crypten", micro_batch=micro_batch)
    return run_exchange(*prepared_scheme(session, task, config), task, 1)


def run_bare(task: Task) -> Run:
    def evaluate() -> torch.Tensor | None:
        return bare_crypten.evaluate(task.network, task.inputs, MODEL_OWNER, DATA_OWNER)

    with bare_crypten.CollectiveCounter() as counter:
        return task.measure(evaluate, counter.traffic)


def compare(emit: Emit, launch: LaunchConfig, repeats: int) -> dict[str, list[Run]]:
    """Runs in each party: both sides in turn, once to warm up and then `repeats` times."""
    task = Task.of_size(0, NUM_SAMPLES)
    runs: dict[str, list[Run]] = {side: [] for side in SIDES}
    crypten.init()
    for number in range(repeats + 1):
        with session_of(number, launch, PRECISION_BITS, with_dealer=False) as session:
            runs["ours"].append(run_ours(session, task, NUM_SAMPLES))
        runs["bare"].append(run_bare(task))
    dist.barrier()
    return {side: side_runs[1:] for side, side_runs in runs.items()}


def peak_memory_of(emit: Emit, launch: LaunchConfig, side: str, num_samples: int) -> int:
    """Runs in each party, in a process of its own; bytes."""
    task = Task.of_size(0, num_samples)
    crypten.init()
    if side == "bare":
        run = run_bare(task)
    else:
        with session_of(0, launch, PRECISION_BITS, with_dealer=False) as session:
            run = run_ours(session, task, MEMORY_MICRO_BATCH)
    dist.barrier()
    return run.peak_memory_bytes


def summarize(party_a: dict[str, list[Run]], party_b: dict[str, list[Run]]) -> dict[str, Any]:
    """Wall time of an evaluation is that of the slower party."""
    seconds = {
        side: [max(a.seconds, b.seconds) for a, b in zip(party_a[side], party_b[side], strict=True)] for side in SIDES
    }
    ratios = [ours / bare for ours, bare in zip(seconds["ours"], seconds["bare"], strict=True)]
    return {
        "seconds": seconds,
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "bytes_sent": {side: [party_a[side][0].bytes_sent, party_b[side][0].bytes_sent] for side in SIDES},
        "rounds": {side: party_a[side][0].rounds for side in SIDES},
        "max_abs_logit_error": {side: max(run.logit_error for run in party_b[side]) for side in SIDES},
    }


def measure_memory() -> list[dict[str, Any]]:
    cases = [("ours", num_samples) for num_samples in MEMORY_SAMPLES] + [("bare", MEMORY_SAMPLES[-1])]
    return [
        {"side": side, "samples": num_samples, "bytes": in_both_parties(peak_memory_of, side, num_samples, threads=1)}
        for side, num_samples in cases
    ]


def failures(figures: dict[str, Any]) -> list[str]:
    """What does not hold, one line each."""
    found = []
    if figures["median_ratio"] > LIMIT:
        found.append(f"the median time ratio {figures['median_ratio']:.3f} is above {LIMIT}")
    ours, bare = (figures["bytes_sent"][side] for side in SIDES)
    if any(mine > theirs for mine, theirs in zip(ours, bare, strict=True)):
        found.append(f"parties a, b send {ours} bytes, in the bare script {bare}")
    few, *_, many = (max(row["bytes"]) for row in figures["memory"] if row["side"] == "ours")
    if many > MEMORY_LIMIT * few:
        found.append(f"peak memory grows with the number of images, from {few} to {many} bytes")
    for side, error in figures["max_abs_logit_error"].items():
        if not error <= TOLERANCE:
            found.append(f"{side}: a logit is off by {error:.1e}, more than {TOLERANCE:.0e}")
    return found


def show(figures: dict[str, Any], title: str) -> None:
    console = Console()
    table = Table("side", "median s", "quartiles", "bytes sent, a and b", "rounds", "logit error", title=title)
    for side, seconds in figures["seconds"].items():
        low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
        sent = "\n".join(f"{num_bytes:,}" for num_bytes in figures["bytes_sent"][side])
        error = f"{figures['max_abs_logit_error'][side]:.1e}"
        table.add_row(side, f"{middle:.3f}", f"{low:.3f} to {high:.3f}", sent, str(figures["rounds"][side]), error)
    console.print(table)
    low, middle, high = statistics.quantiles(figures["ratios"], n=4, method="inclusive")
    console.print(f"time ratio ours / bare, pair by pair: median {middle:.3f}, quartiles {low:.3f} to {high:.3f}")
    memory = Table("side", "images", "MiB, a and b", title="peak memory of a process")
    for row in figures["memory"]:
        side = f"ours, micro_batch={MEMORY_MICRO_BATCH}" if row["side"] == "ours" else "bare, one batch"
        memory.add_row(side, str(row["samples"]), ", ".join(f"{num_bytes / 2**20:.0f}" for num_bytes in row["bytes"]))
    console.print(memory)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads a party (default 1)")
    parser.add_argument("--repeats", type=int, default=9, help="evaluations a side, at least 2 (default 9)")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.repeats < 2:
        parser.error("--threads must be at least 1 and --repeats at least 2")
    figures = summarize(*in_both_parties(compare, arguments.repeats, threads=arguments.threads))
    figures["memory"] = measure_memory()
    show(figures, f"{NUM_SAMPLES} images, reference network, {arguments.threads} thread(s) a party")
    if arguments.output is not None:
        write_figures(arguments.output, "secure_inference", arguments.threads, figures)
    found = failures(figures)
    for failure in found:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
