"""Cheetah of SPU, as its package installs it, on the reference network: bytes, messages and seconds, two processes.

SPU wants versions of its own, so its two parties (spu_party.py) run in an environment that holds nothing else:

    python3.11 -m venv build/spu-venv && build/spu-venv/bin/pip install spu==0.9.5
    python benchmarks/spu_cheetah.py --python build/spu-venv/bin/python --batches 1 16 64 --repeats 2 --output spu.json

On loopback; one party has private weights, the other private images and gets the logits; fixed point is SPU's default
(64-bit ring, 18 bits below the point). Each of two programs, at each size of a batch, is evaluated once with the set-up
of its oblivious transfers and `--repeats` times after it, in fresh processes:

- installed: inputs shared between the parties, convolution and pooling as they stand;
- tuned: inputs kept by their owners (`experimental_enable_colocated_optimization`), pooling merged into the kernels.

Bytes are SPU's own count of what both parties sent in an evaluation, with the shares of images and logits but without
headers. Exits with 1 where a logit is further than MAX_ERROR from plain PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures_file import write_figures
from reference_task import Task
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

MAX_ERROR = 1e-3
PROGRAMS = ("installed", "tuned")


def weights_of(network: nn.Module, tuned: bool) -> dict[str, np.ndarray[Any, Any]]:
    """PyTorch's weights with channels last, as spu_party.py takes them."""
    weights = {name: value.detach() for name, value in network.named_parameters()}
    for name, value in weights.items():
        if value.dim() == 4:
            weights[name] = (averaging(value) if tuned else value).permute(2, 3, 1, 0)
    classifier = weights["classifier.weight"]
    features = classifier.reshape(len(classifier), weights["conv3.weight"].shape[-1], 4, 4)
    weights["classifier.weight"] = features.permute(2, 3, 1, 0).flatten(0, 2)
    return {name: value.contiguous().numpy() for name, value in weights.items()}


def averaging(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel of 3x3 followed by averages of 2x2, as one of 4x4 with stride 2."""
    return torch.stack([F.pad(kernel, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]).mean(0)


def run_parties(python: Path, folder: Path, batch: int, evaluations: int, tuned: bool) -> list[dict[str, Any]]:
    """What the parties say; raises CalledProcessError when one fails."""
    arguments = ["--folder", str(folder), "--batch", str(batch), "--evaluations", str(evaluations)]
    arguments += ["--addresses", *free_addresses(), *(["--tuned"] if tuned else [])]
    script = str(Path(__file__).with_name("spu_party.py"))
    parties = [subprocess.Popen([python, script, "--rank", str(rank), *arguments]) for rank in (0, 1)]
    try:
        for party in parties:
            if party.wait():
                raise subprocess.CalledProcessError(party.returncode, party.args)
    finally:
        for party in parties:
            party.kill()
    return [json.loads((folder / f"party{rank}.json").read_text()) for rank in (0, 1)]


def free_addresses() -> list[str]:
    with socket.socket() as first, socket.socket() as second:
        for taken in (first, second):
            taken.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{taken.getsockname()[1]}" for taken in (first, second)]


def measured(python: Path, batch: int, repeats: int, program: str) -> dict[str, Any]:
    """Figures of one program at one size of a batch; what is 'later' is a mean or median over the repeats."""
    task = Task.of_size(0, batch)
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder, tuned = Path(name), program == "tuned"
        np.savez(folder / "weights.npz", **weights_of(task.network, tuned))  # type: ignore[arg-type]
        np.save(folder / "images.npy", task.inputs.permute(0, 2, 3, 1).numpy())
        parties = run_parties(python, folder, batch, 1 + repeats, tuned)
        logits_RNC = torch.from_numpy(np.load(folder / "logits.npy"))
        expected_NC = task.network(task.inputs)
    sent, messages = over_both(parties, "bytes"), over_both(parties, "messages")
    later = [party["evaluations"][1:] for party in parties]
    return {
        "program": program,
        "batch": batch,
        "weight_bytes": sum(party["weight_bytes"] for party in parties),
        "first_bytes": sent[0],
        "first_seconds": parties[1]["evaluations"][0]["seconds"],
        "first_messages": messages[0],
        "later_bytes": statistics.mean(sent[1:]),
        "later_seconds": statistics.median(figures["seconds"] for figures in later[1]),
        "later_messages": messages[1:],
        "later_cpu_seconds": [statistics.median(figures["cpu_seconds"] for figures in one) for one in later],
        "largest_logit": float(expected_NC.abs().max()),
        "error": float((logits_RNC - expected_NC).abs().max()),
        "peak_memory_bytes": [party["peak_memory_bytes"] for party in parties],
        "evaluations": [party["evaluations"] for party in parties],
        "versions": parties[0]["versions"],
    }


def over_both(parties: list[dict[str, Any]], key: str) -> list[int]:
    """The sum over the parties, evaluation by evaluation."""
    return [sum(pair) for pair in zip(*([e[key] for e in party["evaluations"]] for party in parties), strict=True)]


def show(rows: list[dict[str, Any]]) -> None:
    """KB of the first evaluation, then later ones by query; CPU seconds of the owner of the weights, of the images."""
    table = Table("program", "batch", "first KB", "KB a query", "s", "CPU s", "messages", "error")
    for row in rows:
        batch = row["batch"]
        table.add_row(
            row["program"],
            str(batch),
            f"{row['first_bytes'] / 1000:.0f}",
            f"{row['later_bytes'] / batch / 1000:.0f}",
            f"{row['later_seconds'] / batch:.2f}",
            ", ".join(f"{seconds / batch:.2f}" for seconds in row["later_cpu_seconds"]),
            str(min(row["later_messages"])),
            f"{row['error']:.0e}",
        )
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="of the environment that SPU is installed in")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--repeats", type=int, default=2, help="evaluations after the first one")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for batch in options.batches:
        for program in options.programs:
            rows.append(measured(options.python, batch, options.repeats, program))
            if options.output:
                threads = os.cpu_count() or 1  # SPU takes them all
                write_figures(options.output, "spu_cheetah", threads, {"rows": rows})
    show(rows)
    return int(max(row["error"] for row in rows) > MAX_ERROR)


if __name__ == "__main__":
    sys.exit(main())
