"""Secure inference with scheme `crypten` beside a bare CrypTen script that evaluates the same network.

Party a owns the reference network (small_convnet, channels 16, 32, 64), party b owns 64 images of 3x32x32 and learns
the logits. Two processes on gloo over loopback serve both sides, which take turns after a warm-up, so that both meet
the same machine. The bare side is stock CrypTen: `crypten.init()`, its Mersenne Twister streams, its collectives and
its trusted first party; only the repairs without which it cannot be imported (mpc/compat.py) are shared.

Then fresh processes measure peak memory with micro_batch=16 for 16, 64 and 256 images.

Exits with 1 where our side sends more bytes or takes more than 1.1 times as long.

    python benchmarks/secure_inference.py --threads 1 --repeats 9 --output inference.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console
from rich.table import Table
from torch import nn

from smule_crypten.config import ModelConfig, SchemeConfig
from smule_crypten.files import write_atomic
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.session import Session, open_session
from smule_crypten.processes.environment import describe_hardware, describe_versions
from smule_crypten.processes.launcher import Emit, Job, run_jobs
from smule_crypten.types import InferenceQuery

LIMIT = 1.1
TOLERANCE = 1e-3
INPUT_SHAPE, NUM_CLASSES = (3, 32, 32), 10
MODEL_OWNER, DATA_OWNER = 0, 1
NUM_SAMPLES = 64
MEMORY_MICRO_BATCH, MEMORY_SAMPLES = 16, (16, 64, 256)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One evaluation, seen by one party. max_abs_logit_error, against plain PyTorch, is known to the data owner."""

    seconds: float
    rounds: int
    bytes_sent: int
    max_abs_logit_error: float | None


def make_network() -> nn.Module:
    return build_model(ModelConfig(name="small_convnet"), INPUT_SHAPE, NUM_CLASSES, seed=0).eval()


def make_inputs(num_samples: int) -> torch.Tensor:
    return torch.randn(num_samples, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0))


def run_ours(session: Session, network: nn.Module, inputs_NCHW: torch.Tensor, micro_batch: int) -> Run:
    """One exchange in which only party b asks."""
    scheme = CryptenScheme(session, SchemeConfig(name="crypten", micro_batch=micro_batch))
    architecture = translate(network, INPUT_SHAPE).architecture
    scheme.prepare((architecture, architecture))
    asked, answered = _queries(session.rank, inputs_NCHW)
    dist.barrier()
    started = time.perf_counter()
    prediction = scheme.exchange(network, asked, answered)
    seconds = time.perf_counter() - started
    return Run(
        seconds=seconds,
        rounds=prediction.cost.rounds,
        bytes_sent=prediction.cost.bytes_sent,
        max_abs_logit_error=_logit_error(network, inputs_NCHW, prediction.logits_NC),
    )


def _queries(rank: int, inputs_NCHW: torch.Tensor) -> tuple[InferenceQuery, InferenceQuery]:
    own, peer = (inputs_NCHW if owner == DATA_OWNER else inputs_NCHW[:0] for owner in (rank, 1 - rank))
    asked = InferenceQuery(
        query_id=1,
        model_owner=1 - rank,
        data_owner=rank,
        num_samples=len(own),
        model_step=0,
        sample_ids=torch.arange(len(own)),
        inputs_NCHW=own,
    )
    answered = InferenceQuery(query_id=1, model_owner=rank, data_owner=1 - rank, num_samples=len(peer), model_step=0)
    return asked, answered


def run_bare(network: nn.Module, inputs_NCHW: torch.Tensor) -> Run:
    """What one would write with CrypTen's tensors for this network alone."""
    counter = _CollectiveCounter(crypten.communicator.get())
    dist.barrier()
    started = time.perf_counter()
    with crypten.no_grad(), counter:
        parameters = {name: crypten.cryptensor(p.detach(), src=MODEL_OWNER) for name, p in network.named_parameters()}
        x = crypten.cryptensor(inputs_NCHW, src=DATA_OWNER)
        for number in (1, 2, 3):
            bias = parameters[f"conv{number}.bias"].view(1, -1, 1, 1)
            x = x.conv2d(parameters[f"conv{number}.weight"], padding=1) + bias
            x = x.avg_pool2d(2).relu()
        logits = x.flatten(1).matmul(parameters["classifier.weight"].t()) + parameters["classifier.bias"]
        opened = logits.get_plain_text(dst=DATA_OWNER)
    seconds = time.perf_counter() - started
    return Run(
        seconds=seconds,
        rounds=counter.rounds,
        bytes_sent=counter.bytes_sent,
        max_abs_logit_error=_logit_error(network, inputs_NCHW, opened),
    )


class _CollectiveCounter:
    """Counts what CrypTen's communicator sends while it is entered: payload bytes of this party, and rounds.

    gloo's all_reduce between two parties is a ring: each sends every byte of its tensor once, in two halves. gloo's
    reduce is counted as if only the sender's share crossed the wire; it sends more than that.
    """

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self.rounds = 0
        self.bytes_sent = 0

    def __enter__(self) -> None:
        all_reduce, reduce = self._communicator.all_reduce, self._communicator.reduce

        def counted_all_reduce(tensors: Any, *arguments: Any, **options: Any) -> Any:
            self._count(tensors)
            return all_reduce(tensors, *arguments, **options)

        def counted_reduce(tensors: Any, dst: int, *arguments: Any, **options: Any) -> Any:
            self._count([] if dst == dist.get_rank() else tensors)
            return reduce(tensors, dst, *arguments, **options)

        self._communicator.all_reduce, self._communicator.reduce = counted_all_reduce, counted_reduce

    def __exit__(self, *exception: object) -> None:
        del self._communicator.all_reduce, self._communicator.reduce

    def _count(self, tensors: Any) -> None:
        self.rounds += 1
        self.bytes_sent += sum(tensor.nbytes for tensor in (tensors if isinstance(tensors, list) else [tensors]))


def _logit_error(network: nn.Module, inputs_NCHW: torch.Tensor, logits_NC: torch.Tensor) -> float | None:
    if dist.get_rank() != DATA_OWNER:
        return None
    with torch.no_grad():
        return float((network(inputs_NCHW) - logits_NC).abs().max())


def compare(emit: Emit, threads: int, repeats: int) -> dict[str, list[Run]]:
    """Both sides in turn, once to warm up and then `repeats` times."""
    torch.set_num_threads(threads)
    network, inputs_NCHW = make_network(), make_inputs(NUM_SAMPLES)
    runs: dict[str, list[Run]] = {"ours": [], "bare": []}
    crypten.init()
    for _ in range(repeats + 1):
        with _our_session() as session:
            runs["ours"].append(run_ours(session, network, inputs_NCHW, micro_batch=NUM_SAMPLES))
        runs["bare"].append(run_bare(network, inputs_NCHW))
    dist.barrier()
    return {side: side_runs[1:] for side, side_runs in runs.items()}


def measure_memory(emit: Emit, side: str, num_samples: int) -> tuple[int, int]:
    """Peak memory of this process before and after one evaluation, in bytes."""
    torch.set_num_threads(1)
    network, inputs_NCHW = make_network(), make_inputs(num_samples)
    crypten.init()
    before = _peak_memory_bytes()
    if side == "bare":
        run_bare(network, inputs_NCHW)
    else:
        with _our_session() as session:
            run_ours(session, network, inputs_NCHW, MEMORY_MICRO_BATCH)
    dist.barrier()
    return before, _peak_memory_bytes()


def _our_session() -> Any:
    return open_session(precision_bits=16, deadline_seconds=600.0, randomness="fresh", seed=0)


def _peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_both_parties(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "WORLD_SIZE": "2",
            "RENDEZVOUS": f"file://{folder}/rendezvous",
            "DISTRIBUTED_BACKEND": "gloo",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        jobs = [
            Job(
                name=f"party {'ab'[rank]}",
                function=function,
                arguments=arguments,
                environment={**environment, "RANK": str(rank)},
            )
            for rank in (0, 1)
        ]
        return run_jobs(jobs, lambda sender, event: None)


def seconds_of(results: list[dict[str, list[Run]]], side: str) -> list[float]:
    """Wall time of each evaluation: that of the slower party."""
    return [max(run.seconds for run in pair) for pair in zip(*(result[side] for result in results), strict=True)]


def summarize(results: list[dict[str, list[Run]]], memory: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = {side: seconds_of(results, side) for side in ("ours", "bare")}
    ratios = [ours / bare for ours, bare in zip(seconds["ours"], seconds["bare"], strict=True)]
    return {
        "seconds": seconds,
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "bytes_sent": {
            side: {party: result[side][0].bytes_sent for party, result in zip("ab", results, strict=True)}
            for side in seconds
        },
        "rounds": {side: results[0][side][0].rounds for side in seconds},
        "max_abs_logit_error": {
            side: max(run.max_abs_logit_error or 0.0 for run in results[DATA_OWNER][side]) for side in seconds
        },
        "memory": memory,
    }


def measure_all_memory() -> list[dict[str, Any]]:
    cases = [("ours", num_samples) for num_samples in MEMORY_SAMPLES] + [("bare", MEMORY_SAMPLES[-1])]
    rows = []
    for side, num_samples in cases:
        before, after = zip(*in_both_parties(measure_memory, side, num_samples), strict=True)
        rows.append(
            {
                "side": side,
                "samples": num_samples,
                "before_bytes": max(before),
                "peak_bytes": max(after),
            }
        )
    return rows


def failures(figures: dict[str, Any]) -> list[str]:
    """What does not hold, one line each."""
    found = []
    if figures["median_ratio"] > LIMIT:
        found.append(f"median time ratio {figures['median_ratio']:.3f} is above {LIMIT}")
    for party in "ab":
        ours, bare = (figures["bytes_sent"][side][party] for side in ("ours", "bare"))
        if ours > bare:
            found.append(f"party {party} sends {ours} bytes, the bare script {bare}")
    for side, error in figures["max_abs_logit_error"].items():
        if error > TOLERANCE:
            found.append(f"{side}: a logit is off by {error:.1e}, more than {TOLERANCE:.0e}")
    return found


def show(figures: dict[str, Any], title: str) -> None:
    console = Console()
    table = Table(
        "side", "median s", "quartiles", "bytes sent by a", "by b", "rounds", "largest logit error", title=title
    )
    for side, seconds in figures["seconds"].items():
        low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
        table.add_row(
            side,
            f"{middle:.3f}",
            f"{low:.3f} to {high:.3f}",
            *(f"{figures['bytes_sent'][side][party]:,}" for party in "ab"),
            str(figures["rounds"][side]),
            f"{figures['max_abs_logit_error'][side]:.1e}",
        )
    console.print(table)
    low, middle, high = statistics.quantiles(figures["ratios"], n=4, method="inclusive")
    console.print(f"time ratio ours / bare, pair by pair: median {middle:.3f}, quartiles {low:.3f} to {high:.3f}")
    memory = Table("side", "samples", "before MiB", "peak MiB", title="peak memory of the larger party")
    for row in figures["memory"]:
        side = f"ours, micro_batch={MEMORY_MICRO_BATCH}" if row["side"] == "ours" else "bare, one batch"
        memory.add_row(side, str(row["samples"]), *(f"{row[k] / 2**20:.0f}" for k in ("before_bytes", "peak_bytes")))
    console.print(memory)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=at_least(1), default=1, help="PyTorch threads a party (default 1)")
    parser.add_argument("--repeats", type=at_least(2), default=9, help="evaluations a side (default 9)")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    results = in_both_parties(compare, arguments.threads, arguments.repeats)
    figures = summarize(results, measure_all_memory())
    show(figures, f"{NUM_SAMPLES} images, reference network, {arguments.threads} thread(s) a party")
    if arguments.output is not None:
        summary = {
            "benchmark": "secure_inference",
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": ["python", *sys.argv],
            "versions": describe_versions(),
            "hardware": describe_hardware("cpu"),
            "threads": arguments.threads,
            **figures,
        }
        write_atomic(arguments.output, lambda file: file.write(json.dumps(summary, indent=2).encode()))
    for failure in failures(figures):
        print(f"ABOVE THE LIMIT: {failure}", file=sys.stderr)
    return 1 if failures(figures) else 0


def at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
