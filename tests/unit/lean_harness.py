"""Both roles of one direction in one process, with the dealer's generator between them: no socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.fixed_point.scales import Scales, fit, plain_values
from smule_crypten.fixed_point.wire import Post, Script, Want
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import corrections
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.lean.roles import ShareEvaluator
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import LogitOpening

CPU = torch.device("cpu")


def lean_config(*, precision_bits: int = 12, micro_batch: int = 64, **options: int) -> SchemeConfig:
    return SchemeConfig(name="lean", precision_bits=precision_bits, micro_batch=micro_batch, options=options)


@dataclass(frozen=True)
class Message:
    from_model_owner: bool
    post: Post


class Dealings:
    """The dealer's side: the same streams as the parties have, and the corrections as M asks for them."""

    def __init__(self, program: Program, batches: list[int], seed: int) -> None:
        self.model_owner, self.data_owner, self.local = (
            Stream(insecure_key(seed, f"test {who}")) for who in ("model owner", "data owner", "local")
        )
        self._corrections: Iterator[torch.Tensor] = corrections(
            program,
            batches,
            Stream(insecure_key(seed, "test model owner")),
            Stream(insecure_key(seed, "test data owner")),
        )
        self.num_bytes = 0

    def correction(self, num_bytes: int) -> torch.Tensor:
        data = next(self._corrections)
        assert data.dtype == torch.uint8
        assert data.nbytes == num_bytes
        self.num_bytes += num_bytes
        return data

    def expect_nothing_left(self) -> None:
        """All that is dealt is used, and both parties have drawn as much of their streams as the dealer."""
        assert next(self._corrections, None) is None


class _Speaker:
    def __init__(self, role: ShareEvaluator, script: Script) -> None:
        self._role, self._script = role, script
        self.result = torch.empty(0)
        self.wanted: Want | None = None
        self.heard: deque[Post] = deque()
        self.advance(None)

    def advance(self, data: torch.Tensor | None) -> None:
        try:
            self.wanted = next(self._script) if data is None else self._script.send(data)
        except StopIteration as end:
            self.wanted, self.result = None, end.value

    def say(self) -> list[Post]:
        posts, self._role.outbox = self._role.outbox, []
        return posts

    def listen(self) -> bool:
        """Go on with the next message, if there is one; it must be the one that is waited for."""
        if self.wanted is None or not self.heard:
            return False
        post = self.heard.popleft()
        assert (post.layer, post.data.nbytes) == (self.wanted.layer, self.wanted.num_bytes)
        assert post.data.dtype == torch.uint8
        self.advance(post.data)
        return True


def converse(
    model_owner: ShareEvaluator, data_owner: ShareEvaluator
) -> tuple[torch.Tensor, torch.Tensor, list[Message]]:
    """Play both scripts against each other; their results, and everything that was said."""
    speakers = [_Speaker(role, role.run()) for role in (model_owner, data_owner)]  # type: ignore[attr-defined]
    said: list[Message] = []
    while True:
        for number, speaker in enumerate(speakers):
            posts = speaker.say()
            speakers[1 - number].heard.extend(posts)
            said += [Message(number == 0, post) for post in posts]
        went_on = [speaker.listen() for speaker in speakers]
        if not any(went_on):
            break
    assert all(speaker.wanted is None and not speaker.heard for speaker in speakers)
    return speakers[0].result, speakers[1].result, said


class ShareModelOwner(ModelOwner):
    """Begins with a given share of the input, has integer weights, and ends with its share of the last value."""

    share: torch.Tensor

    def run(self) -> Script:
        self._send_weights()
        return (yield from self._evaluate(len(self.share), self.share))


class ShareDataOwner(DataOwner):
    share: torch.Tensor

    def run(self) -> Script:
        yield from self._take_weights()
        self._prepare(len(self.share))
        return (yield from self._evaluate(len(self.share), self.share))


def evaluate(program: Program, x: torch.Tensor, weights: dict[str, Any], *, seed: int = 0) -> torch.Tensor:
    """The last value of a program on integers x (N, ...), in two's complement of its ring.

    x is shared at random, so that no step depends on what a share of the input looks like.

    Args:
        weights: integer weight and bias (a value for each channel, or None) of each product.
    """
    batches = [len(x)]
    dealings = Dealings(program, batches, seed)
    model_owner = ShareModelOwner(
        program,
        CPU,
        batches,
        parameters={step.name: (torch.full(step.weighted.weight_shape, 2.0**40), None) for step in program.products},
        scales=Scales((0.0,) * len(program.steps), 1.0),
        dealt=dealings.model_owner,
        local=dealings.local,
        receive_correction=dealings.correction,
    )
    for step in program.products:
        weight, bias = weights[step.name]
        model_owner._weights[step.name] = weight
        if bias is not None:
            model_owner._biases[step.name] = _pooled_bias(step, bias)
    data_owner = ShareDataOwner(program, CPU, batches, inputs_NX=x.float(), dealt=dealings.data_owner)
    model_owner.share = dealings.local.ring_elements(tuple(x.shape))
    data_owner.share = x - model_owner.share
    ours, theirs, _ = converse(model_owner, data_owner)
    dealings.expect_nothing_left()
    unused = 64 - program.output.ring
    return ((ours + theirs) << unused) >> unused


def _pooled_bias(step: Step, bias: torch.Tensor) -> torch.Tensor:
    if len(step.shape) == 1:
        return bias
    bias = bias.view(-1, 1, 1)
    if step.pool is None:
        return bias
    return step.pool.sums(bias.expand(-1, *step.pool.size).unsqueeze(0))[0]


@dataclass
class Direction:
    """A whole direction, set up but not run: a model, inputs, and the keys that a seed gives."""

    network: TranslatedNetwork
    program: Program
    scales: Scales
    batches: list[int]
    model_owner: ModelOwner
    data_owner: DataOwner
    dealings: Dealings

    def run(self) -> tuple[torch.Tensor, list[Message]]:
        """The logits that D gets, and everything that was said."""
        _, logits_NC, said = converse(self.model_owner, self.data_owner)
        self.dealings.expect_nothing_left()
        return logits_NC, said


def direction(
    model: nn.Module,
    inputs_NX: torch.Tensor,
    config: SchemeConfig,
    *,
    seed: int = 0,
    calibration_NX: torch.Tensor | None = None,
    scales: Scales | None = None,
    model_owner_class: Callable[..., ModelOwner] = ModelOwner,
    data_owner_class: Callable[..., DataOwner] = DataOwner,
    margin_bits: int = 2,
    opening: LogitOpening = "differences",
    device: torch.device = CPU,
) -> Direction:
    """Calibrated on the inputs themselves, unless others or scales are given."""
    network = translate(model, tuple(inputs_NX.shape[1:]))
    program = lower(network.architecture, config)
    if scales is None:
        known = inputs_NX if calibration_NX is None else calibration_NX
        values = plain_values(program, network.parameters, known)
        scales = fit(program, network.parameters, values, margin_bits, opening)
    size, count = config.micro_batch, len(inputs_NX)
    batches = [min(size, count - start) for start in range(0, count, size)]
    dealings = Dealings(program, batches, seed)
    model_owner = model_owner_class(
        program,
        device,
        batches,
        parameters=network.parameters,
        scales=scales,
        dealt=dealings.model_owner,
        local=dealings.local,
        receive_correction=dealings.correction,
        opening=opening,
    )
    data_owner = data_owner_class(
        program, device, batches, inputs_NX=inputs_NX, dealt=dealings.data_owner, opening=opening
    )
    return Direction(network, program, scales, batches, model_owner, data_owner, dealings)
