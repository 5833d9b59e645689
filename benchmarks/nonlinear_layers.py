"""ReLU of the two parties alone (`comparison/`): bits, messages, bytes kept and microseconds of a core a ReLU, by role.

The ReLUs of the reference network (16 x 16 x 16, 32 x 8 x 8 and 64 x 4 x 4 an image) on random values with real
correlated transfers, in one process and without a link. Every result is compared with plain integers; exits with 1
where one is wrong, or a message is not as long as its cost says. Apart from each other: transfers are made, hashed to
pads in steps (the longest one is told), prepared for D's shares, and used online.

    OMP_NUM_THREADS=1 python benchmarks/nonlinear_layers.py --images 16 --repeats 5 --output nonlinear.json
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from figures_file import write_figures
from rich.console import Console
from rich.table import Table
from silent_transfers import play

from smule_crypten.comparison import relu
from smule_crypten.comparison.cost import relu_cost
from smule_crypten.comparison.material import NOTHING, DataOwnerMaking, Making, Material, ModelOwnerMaking
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.oblivious.cots import Fields
from smule_crypten.oblivious.parameters import STANDARD
from smule_crypten.oblivious.silent import Silent, SilentReceiver, SilentSender, open_receiver, open_sender

RELUS = (4096, 2048, 1024)
LONGEST = "longest step of making pads"
Instances = tuple[SilentSender, SilentReceiver, SilentSender, SilentReceiver]
T = TypeVar("T")


def timed(seconds: dict[str, float], name: str, run: Callable[[], T]) -> T:
    begin = time.process_time()
    result = run()
    seconds[name] += time.process_time() - begin
    return result


def open_instances(stock: int) -> Instances:
    """M's instance: sender and receiver; then D's."""
    found: list[SilentSender | SilentReceiver] = []
    for rank in range(2):
        seed = os.urandom(32)
        ends = play(
            open_sender(STANDARD, seed, stock, os.urandom, sender_rank=rank),
            open_receiver(STANDARD, seed, stock, os.urandom, sender_rank=rank),
        )
        found += [end.result for end in ends]
    model_sending, data_receiving, data_sending, model_receiving = found
    assert isinstance(model_sending, SilentSender)
    assert isinstance(data_receiving, SilentReceiver)
    assert isinstance(data_sending, SilentSender)
    assert isinstance(model_receiving, SilentReceiver)
    return model_sending, data_receiving, data_sending, model_receiving


def make(end: Silent, needed: int) -> None:
    """Transfers into the stock, as many as a layer takes."""
    while end.ready < needed and end.step():
        pass


def random_fields(count: int, bits: int) -> Fields:
    return modulo(np.frombuffer(os.urandom(8 * count), dtype=np.uint64), bits)


def made(seconds: dict[str, float], who: str, making: Making[Any, Material]) -> Material:
    """All steps, and the longest one in seconds of its own."""
    while making.due != NOTHING:
        before = seconds[f"{who}: make pads"]
        timed(seconds, f"{who}: make pads", making.step)
        seconds[LONGEST] = max(seconds[LONGEST], seconds[f"{who}: make pads"] - before)
    return timed(seconds, f"{who}: make pads", making.finish)


def num_bytes(pads: Any) -> int:
    return int(pads.nbytes) if isinstance(pads, np.ndarray) else sum(num_bytes(piece) for piece in pads)


def run_layer(
    widths: Widths, count: int, instances: Instances, seconds: dict[str, float]
) -> tuple[int, dict[str, float]]:
    """One layer of a batch; returns how many results are wrong, and what was kept of the transfers, in bytes a ReLU."""
    model_sending, data_receiving, data_sending, model_receiving = instances
    cost = relu_cost(count, widths)
    needed = [cost.transfers.model_owner] * 2 + [cost.transfers.data_owner] * 2
    for sender, receiver, least in (
        (model_sending, data_receiving, needed[0]),
        (data_sending, model_receiving, needed[2]),
    ):
        if sender.left < least:
            play(sender.renew(), receiver.renew())
    for end, who, least in zip(instances, "MDDM", needed, strict=True):
        timed(seconds, f"{who}: make transfers", partial(make, end, least))
    ours = made(seconds, "M", ModelOwnerMaking(widths, count, model_sending, model_receiving))
    theirs = made(seconds, "D", DataOwnerMaking(widths, count, data_sending, data_receiving))
    kept = {"kept by M, bytes": num_bytes(ours.pads) / count, "kept by D, bytes": num_bytes(theirs.pads) / count}
    c, v = random_fields(count, widths.width), random_fields(count, widths.fine)
    M, D = play(relu.prepare_model_owner(widths, count, ours), relu.prepare_data_owner(widths, v, theirs))
    assert D.bytes_sent == cost.prepared_bytes
    seconds["M: prepare"] += M.seconds
    seconds["D: prepare"] += D.seconds
    M, D = play(relu.relu_model_owner(widths, M.result, c), relu.relu_data_owner(widths, D.result))
    assert (M.bytes_sent, D.bytes_sent) == (cost.online_bytes(True), cost.online_bytes(False))
    seconds["M: online"] += M.seconds
    seconds["D: online"] += D.seconds
    z = modulo((c << np.uint64(widths.guard_bits)) + v, widths.fine)
    expected = np.where(z >> np.uint64(widths.fine - 1) == 1, np.uint64(0), z)
    found = modulo(M.result + D.result, widths.ring + widths.guard_bits)
    return int((found != expected).sum()), kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs=3, default=[18, 6, 32], metavar=("WIDTH", "GUARD", "RING"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    widths, layers = Widths(*options.widths), [options.images * elements for elements in RELUS]
    costs = [relu_cost(count, widths) for count in layers]
    instances = open_instances(sum(costs[0].transfers))
    runs: list[dict[str, float]] = []
    wrong = 0
    kept: dict[str, float] = {}
    for _ in range(options.repeats):
        seconds: dict[str, float] = defaultdict(float)
        for count in layers:
            errors, kept = run_layer(widths, count, instances, seconds)
            wrong += errors
        runs.append(seconds)
    total = sum(layers)
    longest = 1e3 * statistics.median(run.pop(LONGEST) for run in runs)
    figures = {name: statistics.median(run[name] for run in runs) / total * 1e6 for name in sorted(runs[0])}
    bits = {
        "before the images": 8 * sum(cost.prepared_bytes for cost in costs) / total,
        "M to D": 8 * sum(cost.online_bytes(True) for cost in costs) / total,
        "D to M": 8 * sum(cost.online_bytes(False) for cost in costs) / total,
        "correlated transfers": sum(sum(cost.transfers) for cost in costs) / total,
        "messages a layer": float(len(costs[0].online)),
    }
    table = Table(title=f"a ReLU at {widths}; {wrong} of {total * options.repeats:,} wrong", show_lines=False)
    table.add_column("figure")
    table.add_column("", justify="right")
    for name, value in (bits | kept).items():
        table.add_row(name, f"{value:.4g}")
    table.add_row("longest step of making pads, milliseconds", f"{longest:.3g}")
    for name, value in figures.items():
        table.add_row(f"{name}, microseconds", f"{value:.3f}")
    Console(width=120).print(table)
    if options.output:
        found = {"bits": bits, "kept": kept, "microseconds": figures, "longest_milliseconds": longest, "wrong": wrong}
        write_figures(options.output, "nonlinear_layers", 1, found)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
