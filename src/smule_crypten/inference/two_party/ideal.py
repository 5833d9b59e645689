"""The ideal function of the scheme of the two parties alone: what both roles compute together, errors and all.

In float64 and in units, so that what lies below a unit is there too:

1. A value that is handed over has the error of b: e and its rounding, one for each value and each cell of the padding,
   so that it is common to all outputs whose windows take it (lattice/handover.py).
2. A product has the error e' u - e1 s besides, with the roundings of p and c1: normal, and apart for each output. (So
   are a few errors that outputs really share: of windows of different tiles, and of cells that pad two images.)
3. A rounding: D's share is uniform, one for each value however often it is rounded, and kept to t bits (where it was
   not known before the images, under a fresh mask in its place); M's keeps whole units, by a fresh rho. Then max(., 0),
   a function of the value alone.

Left out is the last bit of a logit, 2^-t units: noise of many units lies over it.

Of these errors D knows all but what M rounds away. That of the network's input says nothing of a rounding: the answer
is exact for another image, its border included, within a tenth of a unit of that which D has chosen; and D may choose
any. So it has no part in what noise must hide. M measures the rest before it answers anything; nothing rests on the
generators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from smule_crypten.fixed_point.evaluator import Evaluator, Share, Talk
from smule_crypten.fixed_point.program import Opening, Step
from smule_crypten.fixed_point.scales import Scales, integer_parameters
from smule_crypten.inference.fixed_point_answers import Arithmetic, Fitted
from smule_crypten.inference.noise import Scatter, Signal, Trial, measured_scatter, signal_of
from smule_crypten.lattice.parameters import ERROR_DEVIATION
from smule_crypten.lattice.plan import HandOver, Product
from smule_crypten.lattice.weights import check_norms
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.two_party.plan import Activation, DirectionPlan, plan_direction
from smule_crypten.types import LogitOpening, centred, opened_logits

_FINEST_BITS = 48
"""Below a unit, where float64 holds the units above them."""


class IdealFunction(Evaluator):
    """Evaluates a program in the clear; a "share" is the value itself, in float64 units.

    Args:
        of_input: whether the network's input has its error.
        of_model_owner: whether M rounds; without that, all that is left is known to D.

    Raises:
        UnshareableModelError: weights of an output channel are beyond the public bound.
    """

    is_model_owner = True

    def __init__(
        self,
        plan: DirectionPlan,
        parameters: Parameters,
        scales: Scales,
        generator: torch.Generator,
        device: torch.device,
        *,
        of_input: bool = True,
        of_model_owner: bool = True,
    ) -> None:
        super().__init__(plan.program, device)
        self._plan, self._scales, self._generator = plan, scales, generator
        self._of_input, self._of_model_owner = of_input, of_model_owner
        weights, biases = integer_parameters(plan.program, parameters, scales)
        check_norms(plan.lattice, weights)
        self._weights = {name: weight.double().to(device) for name, weight in weights.items()}
        self._biases = {name: bias.double().to(device) for name, bias in biases.items()}
        self._places = {one.name: (at, one) for at in plan.lattice.hand_overs for one in at.products}
        self._errors: dict[HandOver, torch.Tensor] = {}
        self._shares_D: dict[int, torch.Tensor] = {}
        self._activations: Iterator[Activation] = iter(())

    def logits(self, inputs_NX: torch.Tensor, opening: LogitOpening = "differences") -> torch.Tensor:
        """What is opened of the logits (N, C), float64, of one evaluation of each input; without noise."""
        encoded = self._encoded(inputs_NX).double()
        self._activations, self._shares_D = iter(self._plan.activations), {}
        try:
            next(self._evaluate(len(encoded), encoded))
        except StopIteration as end:
            return self._decoded(end.value, opening)
        raise AssertionError("in the clear there is nothing to wait for")

    def _decoded(self, values_NC: torch.Tensor, opening: LogitOpening) -> torch.Tensor:
        ring, size = self._program.output.ring, 2.0**self._scales.output
        if opening == "values":
            return wrapped(values_NC, ring) / size
        return centred(wrapped(values_NC - values_NC[:, :1], ring) / size)

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        yield from ()
        for number in self._plan.hand_overs_at(position):
            hand_over = self._plan.lattice.hand_overs[number]
            self._errors[hand_over] = self._errors_of(hand_over, share)
        return share

    def _errors_of(self, hand_over: HandOver, like: torch.Tensor) -> torch.Tensor:
        """In units, of a value and of as much padding around it as any product takes."""
        paddings = [one.step.op.padding for one in hand_over.products if isinstance(one.step.op, arch.Conv2d)]
        rows, columns = (max((padding[axis] for padding in paddings), default=0) for axis in (0, 1))
        shape = (*like.shape[:-2], like.size(-2) + 2 * rows, like.size(-1) + 2 * columns) if paddings else like.shape
        if hand_over.is_input and not self._of_input:
            return like.new_zeros(shape)
        lattice = self._plan.lattice.lattice
        dropped = lattice.modulus_bits - hand_over.value_bits
        rounding = ((1 << dropped) >> 1) - self._integers(dropped, shape)
        errors = (ERROR_DEVIATION * self._normal(shape) + rounding) / 2.0 ** (lattice.modulus_bits - hand_over.ring)
        return errors

    def _product(self, position: int, step: Step, share: Share) -> Share:
        hand_over, product = self._places[step.name]
        result = self._multiplied(product, share, self._errors[hand_over])
        result += self._plan.lattice.secrets_deviation(hand_over, product) * self._normal(result.shape)
        if product.pool is not None:
            result = product.pool.sums(result)
        bias = self._biases.get(step.name)
        return result if bias is None else result + bias

    def _multiplied(self, product: Product, x: torch.Tensor, errors: torch.Tensor) -> torch.Tensor:
        """Before what is left of the pooling."""
        op, weight = product.step.weighted, product.weight(self._weights[product.name])
        if isinstance(op, arch.Linear):
            return F.linear(x + errors, weight)
        rows, columns = ((errors.size(axis) - x.size(axis)) // 2 for axis in (2, 3))
        x = F.pad(x, (columns, columns, rows, rows)) + errors
        top, left = rows - op.padding[0], columns - op.padding[1]
        x = x[:, :, top : x.size(2) - top, left : x.size(3) - left]
        return F.conv2d(x, weight, None, product.stride, 0, op.dilation, op.groups)

    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        """max(v, -offset) of the rounded value v, where v + offset is wrapped into w bits."""
        yield from ()
        value = share.reshape(-1) / 2.0**opening.fraction + opening.offset
        value = self._rounded(next(self._activations), value)
        return wrapped(value, opening.width).clamp(min=0) - opening.offset

    def _rounded(self, activation: Activation, value: torch.Tensor) -> torch.Tensor:
        bits, grid = activation.opening.fraction + activation.below, 2.0**activation.guard_bits
        if not bits:
            return value
        share_D = self._share_D(activation, bits, value)
        kept_D = (share_D * grid + 0.5).floor() / grid
        value = value - (share_D - kept_D)
        if not self._of_model_owner:
            return value
        if not activation.is_known:
            kept_D = self._below_a_unit(activation.guard_bits, value)
        return kept_D + (value - kept_D + self._uniform(value.shape)).floor()

    def _share_D(self, activation: Activation, bits: int, value: torch.Tensor) -> torch.Tensor:
        """Of a value that is rounded more than once D has one share, and drops the same of it each time."""
        if activation.step.kind == "max":  # each level of its tree rounds other values
            return self._below_a_unit(bits, value)
        (source,) = activation.step.inputs
        if source not in self._shares_D:
            self._shares_D[source] = self._below_a_unit(bits, value)
        return self._shares_D[source]

    def _below_a_unit(self, bits: int, like: torch.Tensor) -> torch.Tensor:
        """Uniform multiples of 2^-bits between 0 and 1: of a share what is not whole."""
        bits = min(bits, _FINEST_BITS)
        return self._integers(bits, like.shape) / 2.0**bits

    def _integers(self, bits: int, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
        """Uniform, float64."""
        return torch.randint(0, 1 << bits, shape, generator=self._generator).double().to(self._device)

    def _normal(self, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64).to(self._device)

    def _uniform(self, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
        return torch.rand(shape, generator=self._generator, dtype=torch.float64).to(self._device)


def wrapped(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Modulo 2^bits, between -2^(bits - 1) and 2^(bits - 1)."""
    size = 2.0**bits
    return values - size * (values / size + 0.5).floor()


@dataclasses.dataclass(frozen=True)
class TwoPartyArithmetic(Arithmetic):
    """architecture: of the network."""

    architecture: Architecture

    def ideal(self, fitted: Fitted, device: torch.device) -> IdealFunction:
        """On the images that the other party encodes."""
        return self._function(fitted, device, seed=0)

    def scatter(
        self,
        fitted: Fitted,
        trial: Trial,
        evaluations_RNC: torch.Tensor,
        device: torch.device,
        opening: LogitOpening,
    ) -> Scatter:
        """All scatter counts as unknown; the part that D knows counts once more, as known.

        The signal is that of the plain network: errors make a constant output vary, if by little.
        """
        own = len(trial.own_N)
        without_M = self._function(fitted, device, seed=1, of_model_owner=False)
        known_RNC = trial.evaluations(partial(without_M.logits, opening=opening))
        scatter = measured_scatter(evaluations_RNC, own, is_known=False, opening=opening)
        found = measured_scatter(known_RNC, own, is_known=True, opening=opening)
        plain_NC = opened_logits(fitted.plain_NC[trial.own_N], opening)
        signal = signal_of(plain_NC, opening) if own > 1 else Signal()
        return dataclasses.replace(scatter, known=found.known, signal=signal)

    def _function(
        self, fitted: Fitted, device: torch.device, *, seed: int, of_model_owner: bool = True
    ) -> IdealFunction:
        plan = plan_direction(self.architecture, [fitted.config.micro_batch], fitted.config)
        generator = torch.Generator().manual_seed(seed)
        return IdealFunction(
            plan,
            fitted.parameters,
            fitted.scales,
            generator,
            device,
            of_input=False,
            of_model_owner=of_model_owner,
        )
