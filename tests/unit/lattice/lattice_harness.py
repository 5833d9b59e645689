"""Both sides of the linear layers in one process, and single layers as programs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Program
from smule_crypten.lattice.handover import DataOwnerBatch, ModelOwnerBatch
from smule_crypten.lattice.packing_plan import plan_lattice
from smule_crypten.lattice.parameters import Lattice
from smule_crypten.lattice.plan import HandOver, Plan, Product
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import Spectrum
from smule_crypten.lattice.weights import MaskedWeights, received_weights
from smule_crypten.models import architecture as arch
from smule_crypten.models.translate import translate
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import signed
from smule_crypten.mpc.streams import Stream

SMALL = Lattice(128, 51, 0.0, "far too small to hide anything: tests only")


def stream(seed: int, purpose: str) -> Stream:
    return Stream(insecure_key(seed, purpose))


def program_of(model: nn.Module, shape: tuple[int, ...], precision_bits: int = 14, **options: int) -> Program:
    config = SchemeConfig(name="lean", precision_bits=precision_bits, options=options)
    return lower(translate(model.eval(), shape).architecture, config)


def uniform_values(seed: int, shape: tuple[int, ...], bits: int) -> torch.Tensor:
    """Uniform integers of `bits` bits, in two's complement."""
    generator = torch.Generator().manual_seed(seed)
    halves = torch.randint(0, 1 << 32, (2, *shape), generator=generator)
    return signed((halves[0] << 32) | halves[1], bits)


def small_weights(program: Program, seed: int, bits: int = 12) -> dict[str, torch.Tensor]:
    return {
        step.name: uniform_values(seed + number, step.weighted.weight_shape, bits)
        for number, step in enumerate(program.products)
    }


def expected(product: Product, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """By torch.nn.functional alone, from the program's operation and its pooling; int64 modulo 2^64."""
    value = arch.apply_op(product.step.weighted, [x], weight)
    pool = product.step.pool
    if pool is None:
        return value
    if isinstance(pool.op, arch.AdaptiveAvgPool2d):
        return pool.sums(value)
    (kh, kw), channels = pool.op.kernel, value.size(1)
    ones = torch.ones(channels, 1, kh, kw, dtype=torch.int64)
    return torch.nn.functional.conv2d(value, ones, None, pool.op.stride, pool.op.padding, 1, channels)


@dataclass
class Sides:
    """One set of weights at both parties, for any number of micro-batches."""

    plan: Plan
    weights: dict[str, torch.Tensor]
    seed: int = 0

    def __post_init__(self) -> None:
        self.public = PublicPolynomials(self.plan, insecure_key(self.seed, "public"))
        self.local_M, self.local_D = stream(self.seed, "M"), stream(self.seed, "D")
        self.masked = MaskedWeights(self.plan, self.public, self.weights, self.local_M)
        self.weight_messages = self.masked.messages()
        self.received: dict[str, Spectrum] = received_weights(self.plan, self.weight_messages)

    def batch(self, images: int) -> tuple[DataOwnerBatch, ModelOwnerBatch]:
        data_owner = DataOwnerBatch(self.plan, self.public, self.received, images, self.local_D)
        return data_owner, ModelOwnerBatch(self.plan, self.masked, images, data_owner.prepared_messages())


def shared(hand_over: HandOver, x: torch.Tensor, seed: int) -> tuple[torch.Tensor | None, torch.Tensor]:
    """<x>_M and <x>_D of values with the hand-over's fraction."""
    if hand_over.is_input:
        return None, x
    mask = uniform_values(seed, tuple(x.shape), hand_over.ring + hand_over.fraction)
    return mask, x - mask


def deviations(plan: Plan, hand_over: HandOver, product: Product, error: torch.Tensor, kernel: torch.Tensor) -> float:
    """How many standard deviations, as the plan states them, the largest error of a product is. A sum over what is left
    of a pooling has at most as many times the error of its terms."""
    unit = 2.0 ** (plan.lattice.modulus_bits - hand_over.ring + product.step.fraction)
    norm = float(kernel.flatten(1).double().norm(dim=1).max())
    window = 1 if product.pool is None else product.pool.window
    largest = float(signed(error, plan.lattice.modulus_bits).double().abs().max()) / unit
    return largest / (plan.deviation(hand_over, product, norm) * window)


def worst_error(program: Program, plan: Plan, weights: dict[str, torch.Tensor], images: int, seed: int = 0) -> float:
    """Run every hand-over of a plan on uniform shares; the largest error in stated deviations."""
    sides, worst = Sides(plan, weights, seed), 0.0
    data_owner, model_owner = sides.batch(images)
    for number, hand_over in enumerate(plan.hand_overs):
        shape = (images, *program.steps[hand_over.position].shape)
        x = uniform_values(seed + number, shape, hand_over.ring - 14 + hand_over.fraction)
        x_M, x_D = shared(hand_over, x, seed + 99)
        message = data_owner.hand_over(number, x_D)
        shares = model_owner.multiply(number, message, x_M)
        for product in hand_over.products:
            total = shares[product.name] + data_owner.shares[product.name]
            delta = plan.lattice.modulus_bits - hand_over.ring - hand_over.fraction
            exact = expected(product, x, weights[product.name]) << delta
            kernel = hand_over.kernel(product, weights[product.name])
            assert total.shape == exact.shape
            worst = max(worst, deviations(plan, hand_over, product, total - exact, kernel))
    return worst


def plan_of(program: Program, images: int, lattice: Lattice | None = SMALL, micro_batches: int = 3) -> Plan:
    return plan_lattice(program, images, micro_batches, lattice=lattice)
