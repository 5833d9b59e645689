"""The linear layers of the two parties alone (`lattice/`): bytes and seconds of one core a query, both parties.

The reference network (three times convolution 3x3, average pooling 2, ReLU with 16, 32 and 64 channels, then a linear
layer), or a head 1280-128-10 on features, with random weights and inputs, in one process and without a link. Each
result is compared with the product of the integers; exits with 1 where an error is beyond 8 of its deviations, or a
message is not as long as the plan says. What is nonlinear is not there yet.

    python benchmarks/lattice_layers.py --threads 1 --repeats 5 --output lattice.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from figures_file import write_figures
from rich.console import Console
from rich.table import Table
from torch import nn

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.products import multiply
from smule_crypten.fixed_point.program import Program
from smule_crypten.lattice.handover import DataOwnerBatch, ModelOwnerBatch
from smule_crypten.lattice.packing_plan import plan_lattice
from smule_crypten.lattice.plan import Plan
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.weights import MaskedWeights, received_weights
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.keys import fresh_entropy
from smule_crypten.mpc.packing import signed
from smule_crypten.mpc.streams import Stream

MOST_DEVIATIONS = 8
LARGEST_WEIGHT, LARGEST_VALUE = 1 << 11, 1 << 17
T = TypeVar("T")


class Stopwatch:
    """Seconds of this process, by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def measure(self, name: str, run: Callable[[], T]) -> T:
        started = time.process_time()
        result = run()
        self.seconds[name].append(time.process_time() - started)
        return result


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    if name == "head":
        return nn.Sequential(nn.Linear(1280, 128), nn.ReLU(), nn.Linear(128, 10)), (1280,)
    return build_model(ModelConfig(name="small_convnet"), (3, 32, 32), 10, 0), (3, 32, 32)


def draw(shape: tuple[int, ...], largest: int) -> torch.Tensor:
    return torch.randint(-largest, largest, shape)


def run_once(program: Program, plan: Plan, images: int, watch: Stopwatch) -> float:
    """One set of weights and one micro-batch; returns the largest error in deviations."""
    bits = plan.lattice.modulus_bits
    weights = {step.name: draw(step.weighted.weight_shape, LARGEST_WEIGHT) for step in program.products}
    public = watch.measure("both: public polynomials", lambda: PublicPolynomials(plan, fresh_entropy()))
    local_M, local_D = Stream(fresh_entropy()), Stream(fresh_entropy())
    masked = watch.measure("M: mask the weights", lambda: MaskedWeights(plan, public, weights, local_M))
    messages = masked.messages()
    assert sum(message.nbytes for message in messages) == plan.weight_bytes
    received = watch.measure("D: read the weights", lambda: received_weights(plan, messages))
    data_owner = watch.measure("D: prepare", lambda: DataOwnerBatch(plan, public, received, images, local_D))
    prepared = data_owner.prepared_messages()
    assert sum(message.nbytes for message in prepared) == plan.p_bytes(images) + plan.prepared_bytes(images)
    model_owner = watch.measure("M: prepare", lambda: ModelOwnerBatch(plan, masked, images, prepared))
    worst, sent, seconds = 0.0, 0, {"D": 0.0, "M": 0.0}
    for number, hand_over in enumerate(plan.hand_overs):
        shape = (images, *program.steps[hand_over.position].shape)
        x = draw(shape, LARGEST_VALUE << hand_over.fraction)
        mask = None if hand_over.is_input else draw(shape, 1 << (hand_over.ring + hand_over.fraction - 1))
        started = time.process_time()
        message = data_owner.hand_over(number, x if mask is None else x - mask)
        seconds["D"] += time.process_time() - started
        sent += message.nbytes
        started = time.process_time()
        shares = model_owner.multiply(number, message, mask)
        seconds["M"] += time.process_time() - started
        for one in hand_over.products:
            weight = weights[one.name]
            exact = multiply(one.step.weighted, x, weight, one.step.pool) << (
                bits - hand_over.ring - hand_over.fraction
            )
            error = signed(shares[one.name] + data_owner.shares[one.name] - exact, bits).double().abs().max()
            norm = float(hand_over.kernel(one, weight).flatten(1).double().norm(dim=1).max())
            unit = 2.0 ** (bits - hand_over.ring + one.step.fraction)
            worst = max(worst, float(error) / unit / plan.deviation(hand_over, one, norm))
    assert sent == plan.online_bytes(images)
    watch.seconds["D: hand over"].append(seconds["D"])
    watch.seconds["M: multiply"].append(seconds["M"])
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=["reference", "head"], default="reference")
    parser.add_argument("--images", type=int, default=64, help="samples of a micro-batch")
    parser.add_argument("--queries", type=int, default=200, help="queries for one set of weights")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, shape = network(options.network)
    program = lower(translate(model.eval(), shape).architecture, SchemeConfig(name="lean", precision_bits=14))
    images, micro_batches = options.images, -(-options.queries // options.images)
    plan = plan_lattice(program, images, micro_batches)
    watch = Stopwatch()
    run_once(program, plan, images, Stopwatch())
    worst = max(run_once(program, plan, images, watch) for _ in range(options.repeats))
    size = {
        "weights": plan.weight_bytes / options.queries,
        "p": plan.p_bytes(images) / images,
        "padding, before the images": plan.prepared_bytes(images) / images,
        "x": plan.online_bytes(images) / images,
    }
    seconds = {name: statistics.median(values) for name, values in watch.seconds.items()}
    show(plan, size, seconds, options.images, options.queries, worst)
    if options.output:
        figures = {"bytes_per_query": size, "seconds": seconds, "images": images, "worst_deviations": worst}
        write_figures(options.output, "lattice_layers", options.threads, figures)
    return int(worst > MOST_DEVIATIONS)


def show(
    plan: Plan, size: dict[str, float], seconds: dict[str, float], images: int, queries: int, worst: float
) -> None:
    console, lattice = Console(), plan.lattice
    console.print(
        f"N = {lattice.degree}, q = 2^{lattice.modulus_bits}, {plan.secrets(images)} secrets, t = {plan.guard_bits}"
    )
    table = Table("message", "KB a query")
    for name, count in size.items():
        table.add_row(name, f"{count / 1000:.2f}")
    table.add_row("sum", f"{sum(size.values()) / 1000:.2f}")
    console.print(table)
    table = Table("step", "ms of a core", "ms a query")
    per_set = ("both: public polynomials", "M: mask the weights", "D: read the weights")
    for name, value in seconds.items():
        table.add_row(name, f"{1000 * value:.1f}", f"{1000 * value / (queries if name in per_set else images):.2f}")
    console.print(table)
    console.print(f"largest error: {worst:.2f} of the stated deviations")


if __name__ == "__main__":
    sys.exit(main())
