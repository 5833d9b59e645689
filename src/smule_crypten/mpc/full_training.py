"""The whole training under secret sharing: the baseline that mutual learning is compared with.

The network, the samples and the one-hot labels of both parties are shared; forward, softmax, cross entropy, backward
and the update of SGD happen on shares, and nothing is opened before the last step. Notation as in mpc/network.py; one
step on a batch of n samples:

1. Forward as in mpc/network.py; the masks of the comparisons are kept.
2. Softmax with CrypTen's own approximations: the largest logit by a tree of comparisons, exp by repeated squaring, the
   inverse of the sum by Newton's method from a public guess.
3. The gradient of cross entropy, summed over the batch: [g] = [softmax] - [one-hot]. The loss itself is not computed.
4. Backward: a Beaver product for each weight, for the inputs of each weighted operation that needs them, and for each
   mask; everything else is local.
5. SGD with Nesterov momentum and weight decay, by local steps. Gradients stay summed until here, where the division by
   the batch size and the learning rate become one public factor: at 16 fractional bits a mean would lose 5 of them.

Rounds and bytes: mpc/training_plan.py. Truncation is local (each party divides its share), so an element v with f
fractional bits is wrong, by 2^(64-f), with a probability of about |v| 2^(2f-64).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from smule_crypten.errors import TrainingError
from smule_crypten.models import architecture as arch
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.pooling import AveragePool, SumPool, max_pool_padding, max_pool_spread
from smule_crypten.models.trainable import trained_positions
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.network import (
    Masks,
    SharedTensor,
    apply,
    largest,
    share_parameters,
    share_tensor,
    with_share,
)
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.training_plan import (
    EXP_ITERATIONS,
    input_gradient_triple,
    reciprocal_settings,
    weight_gradient_triple,
)

SOFTMAX_LAYER = "softmax"
_SMALLEST_FACTOR = 2.0**-8
"""Below, dividing by a whole number is closer than multiplying by a fixed-point one."""
_LARGEST_WEIGHT = 2.0**16
"""No trained weight is near; a wrap of a truncation is far above."""


@dataclass(frozen=True, kw_only=True)
class SgdSettings:
    """The update is Nesterov's where momentum is above 0, as in training/optimizer.py."""

    momentum: float = 0.9
    weight_decay: float = 5e-4


@dataclass(kw_only=True)
class _Trained:
    """A shared parameter and what SGD remembers of its gradients."""

    value: SharedTensor
    velocity: SharedTensor | None = None


@dataclass(kw_only=True)
class _Pass:
    """Values and masks of a forward pass, and the gradients that have come back so far, by position."""

    inputs: SharedTensor
    values: list[SharedTensor] = field(default_factory=list)
    masks: list[Masks] = field(default_factory=list)
    gradients: dict[int, SharedTensor] = field(default_factory=dict)

    def operands(self, op: arch.Op) -> list[SharedTensor]:
        return [self.inputs if i == arch.NETWORK_INPUT else self.values[i] for i in op.inputs]

    def add(self, position: int, gradient: SharedTensor) -> None:
        known = self.gradients.get(position)
        self.gradients[position] = gradient if known is None else known + gradient


class FullTraining:
    """A network that both parties hold shares of and train together. Both make the same calls in the same order.

    Args:
        parameters: the initial ones at party `owner`, None at the other party.
        optimizer: public.
    """

    def __init__(
        self,
        session: Session,
        architecture: arch.Architecture,
        parameters: Parameters | None,
        owner: int,
        optimizer: SgdSettings,
    ) -> None:
        self._session = session
        self._architecture = architecture
        self._optimizer = optimizer
        self._on_path = trained_positions(architecture)
        shared = share_parameters(architecture, parameters, owner)
        self._weights = {name: _Trained(value=weight) for name, (weight, _) in shared.items()}
        self._biases = {name: _Trained(value=bias) for name, (_, bias) in shared.items() if bias is not None}

    def step(self, inputs: SharedTensor, one_hot: SharedTensor, learning_rate: float) -> None:
        """One step of SGD on [inputs] as operations see them (architecture.py) and [one_hot] labels (N, classes)."""
        forward = _Pass(inputs=inputs)
        for op in self._architecture.ops:
            with self._session.meter.layer(op.name):
                result, masks = apply(op, forward.operands(op), *self._parameters_of(op))
            forward.values.append(result)
            forward.masks.append(masks)
        with self._session.meter.layer(SOFTMAX_LAYER):
            forward.add(len(forward.values) - 1, softmax(forward.values[-1]) - one_hot)
        batch = inputs.size(0)
        for position in sorted(self._on_path, reverse=True):
            op = self._architecture.ops[position]
            with self._session.meter.layer(f"{op.name} backward"):
                self._backward(op, position, forward, learning_rate, batch)

    def open(self) -> Parameters:
        """The trained parameters, at both parties: one round.

        Raises:
            TrainingError: a value is beyond what training gives.
        """
        kept = [*self._weights.items(), *self._biases.items()]
        shares = [trained.value.share.contiguous() for _, trained in kept]
        peer = self._session.channel.swap([torch.cat([share.flatten() for share in shares])])[0]
        sizes = [share.numel() for share in shares]
        opened = {
            id(trained): _decoded(share + other.view(share.shape), trained.value)
            for (_, trained), share, other in zip(kept, shares, torch.split(peer, sizes), strict=True)
        }
        return {
            name: (opened[id(weight)], opened[id(self._biases[name])] if name in self._biases else None)
            for name, weight in self._weights.items()
        }

    @property
    def fraction_bits(self) -> int:
        bits: int = crypten.config.cfg.encoder.precision_bits
        return bits

    def shares(self) -> dict[str, tuple[torch.Tensor, torch.Tensor | None]]:
        """This party's shares of all parameters; an observer of a simulation can add both parties'."""
        return {
            name: (weight.value.share, self._biases[name].value.share if name in self._biases else None)
            for name, weight in self._weights.items()
        }

    def _parameters_of(self, op: arch.Op) -> tuple[SharedTensor | None, SharedTensor | None]:
        weight, bias = self._weights.get(op.name), self._biases.get(op.name)
        return None if weight is None else weight.value, None if bias is None else bias.value

    def _backward(self, op: arch.Op, position: int, forward: _Pass, learning_rate: float, batch: int) -> None:
        """Pass the gradient on, then let go of it and update the parameters of op."""
        gradient = forward.gradients.pop(position)
        operands = forward.operands(op)
        weight_gradient = None
        if isinstance(op, arch.Conv2d | arch.Linear):
            weight_gradient = _weight_gradient(op, operands[0], gradient)
        wanted = [source for source in op.inputs if source in self._on_path]
        if wanted:
            passed_on = _input_gradient(op, operands[0], gradient, self._parameters_of(op)[0], forward.masks[position])
            for source in wanted:
                forward.add(source, passed_on)
        if weight_gradient is not None:
            self._update(self._weights[op.name], weight_gradient, learning_rate, batch)
            if op.name in self._biases:
                summed = gradient.share.sum(dim=[d for d in range(gradient.dim()) if d != 1])
                self._update(self._biases[op.name], with_share(summed), learning_rate, batch)

    def _update(self, parameter: _Trained, gradient: SharedTensor, learning_rate: float, batch: int) -> None:
        """`gradient` is summed over the batch, and so is the velocity."""
        momentum, weight_decay = self._optimizer.momentum, self._optimizer.weight_decay
        if weight_decay:
            gradient = gradient + _times(parameter.value, weight_decay * batch)
        step = gradient
        if momentum:
            before = parameter.velocity
            parameter.velocity = gradient if before is None else gradient + _times(before, momentum)
            step = gradient + _times(parameter.velocity, momentum)
        parameter.value = parameter.value - _times(step, learning_rate / batch)


def softmax(logits: SharedTensor) -> SharedTensor:
    """[softmax] of [logits] (N, C) with CrypTen's exp and reciprocal."""
    top, _ = largest(logits.transpose(0, 1))
    guess, iterations = reciprocal_settings(logits.size(1))
    settings = {
        "functions.exp_iterations": EXP_ITERATIONS,
        "functions.reciprocal_all_pos": True,
        "functions.reciprocal_initial": guess,
        "functions.reciprocal_nr_iters": iterations,
    }
    with crypten.config.cfg.temp_override(settings):
        exponentials = (logits - top.reshape(-1, 1)).exp()
        return exponentials * exponentials.sum(1, keepdim=True).reciprocal()


def share_batch(parts: tuple[torch.Tensor | None, torch.Tensor | None], shapes: list[tuple[int, ...]]) -> SharedTensor:
    """[a's part, then b's part] along the first dimension; the part of the other party is None, shapes are public."""
    shared = [share_tensor(part, shape, rank) for rank, (part, shape) in enumerate(zip(parts, shapes, strict=True))]
    return crypten.cat([tensor for tensor, shape in zip(shared, shapes, strict=True) if shape[0]])


def _weight_gradient(op: arch.Conv2d | arch.Linear, x: SharedTensor, gradient: SharedTensor) -> SharedTensor:
    if isinstance(op, arch.Linear):
        return gradient.t().matmul(x)
    triple = weight_gradient_triple(op, tuple(x.size()), tuple(gradient.size()))
    batch, channels = x.size(0), x.size(1)
    groups_first = x.share.view(batch, op.groups, channels // op.groups, *x.share.shape[2:]).permute(2, 1, 0, 3, 4)
    images = with_share(groups_first.reshape(triple.size_a))
    full = images.conv2d(gradient.transpose(0, 1), **_options(triple))
    _, _, height, width = op.weight_shape
    return with_share(full.share[:, :, :height, :width].transpose(0, 1))


def _input_gradient(
    op: arch.Op, x: SharedTensor, gradient: SharedTensor, weight: SharedTensor | None, masks: Masks
) -> SharedTensor:
    """The gradient of each operand of op; of a sum it is the same for both."""
    match op:
        case arch.Linear():
            return gradient.matmul(weight)
        case arch.Conv2d():
            triple = input_gradient_triple(op, tuple(x.size()), tuple(gradient.size()))
            return gradient.conv_transpose2d(weight, output_padding=triple.output_padding, **_options(triple))
        case arch.ReLU():
            return gradient * masks[0]
        case arch.MaxPool2d():
            return _max_pool_gradient(op, x, gradient, masks)
        case arch.AvgPool2d() | arch.AdaptiveAvgPool2d():
            return _average_pool_gradient(op, x, gradient)
        case arch.Add():
            return gradient
        case arch.Flatten():
            return gradient.reshape(x.size())


def _options(triple: Any) -> dict[str, Any]:
    return {name: getattr(triple, name) for name in ("stride", "padding", "dilation", "groups")}


def _average_pool_gradient(op: AveragePool, x: SharedTensor, gradient: SharedTensor) -> SharedTensor:
    pool = SumPool(op, (x.size(2), x.size(3)))
    if not pool.is_uniform:
        gradient = gradient * pool.counts.double().reciprocal()
    elif pool.window > 1:
        gradient = gradient.div(pool.window)
    return with_share(pool.spread(gradient.share))


def _max_pool_gradient(op: arch.MaxPool2d, x: SharedTensor, gradient: SharedTensor, masks: Masks) -> SharedTensor:
    """Down the tree of comparisons: the winner of a pair takes the gradient of their maximum."""
    by_value = gradient.unsqueeze(0)
    for mask in reversed(masks):
        pairs = mask.size(0)
        first = by_value[:pairs] * mask
        by_value = crypten.cat([first, by_value[:pairs] - first, by_value[pairs:]])
    left, right, top, bottom = max_pool_padding(op, (x.size(2), x.size(3)), tuple(gradient.size()[2:]))
    height, width = x.size(2), x.size(3)
    padded = max_pool_spread(by_value.share, op, (height + top + bottom, width + left + right))
    return with_share(padded[:, :, top : top + height, left : left + width].contiguous())


def _times(x: SharedTensor, factor: float) -> SharedTensor:
    """[x] times a public factor, locally."""
    return x.mul(factor) if factor >= _SMALLEST_FACTOR or factor == 0 else x.div(round(1 / factor))


def _decoded(ring: torch.Tensor, like: SharedTensor) -> torch.Tensor:
    value: torch.Tensor = like.encoder.decode(ring).double()
    if not bool((value.abs() < _LARGEST_WEIGHT).all()):
        raise TrainingError(
            "training on shares gave weights beyond any bound: it diverged, or a truncation wrapped; lower "
            "training.optimizer.learning_rate or scheme.precision_bits"
        )
    return value
