"""D's side of a direction: its inputs as noisy products of a secret, and what it knows before it looks at them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import torch

from smule_crypten.comparison.material import DataOwnerMaterial
from smule_crypten.comparison.relu import DataOwnerReady, prepare_data_owner, relu_data_owner
from smule_crypten.comparison.remask import FreshShare
from smule_crypten.fixed_point.decoding import decoded
from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Step
from smule_crypten.fixed_point.wire import Script, Want
from smule_crypten.lattice.handover import DataOwnerBatch
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import Spectrum
from smule_crypten.lattice.truncation import data_owner_share
from smule_crypten.lattice.weights import received_weights
from smule_crypten.mpc.packing import packed_bytes, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.oblivious.cots import Fields
from smule_crypten.two_party.plan import Activation, DirectionPlan
from smule_crypten.two_party.roles import ShareEvaluator, fields_of, share_of
from smule_crypten.types import LogitOpening

_Ready = tuple[Activation, DataOwnerReady, FreshShare | None]


class DataOwner(ShareEvaluator):
    """Has one query answered in micro-batches.

    Args:
        public: the polynomials of this direction.
        inputs_NX: float32.
        local: a stream that nobody else knows.
        material: the next material of an opening.
        opening: what the other side opens; the same at both.
    """

    is_model_owner = False

    def __init__(
        self,
        plan: DirectionPlan,
        *,
        public: PublicPolynomials,
        inputs_NX: torch.Tensor,
        local: Stream,
        material: Callable[[], DataOwnerMaterial],
        opening: LogitOpening,
    ) -> None:
        super().__init__(plan)
        self._public_polynomials = public
        self._chunks = torch.split(inputs_NX, list(plan.batches)) if plan.batches else ()
        self._local = local
        self._material = material
        self._opening_of_logits = opening
        self._output_scale = 0
        self._weights: dict[str, Spectrum] = {}
        self._ready: list[_Ready] = []

    def run(self) -> Script:
        """Returns what is opened of the logits (N, C), float32."""
        answers = [torch.empty(0, *self._program.output.shape)]
        for batch, chunk in zip(self._plan.batches[self._leg], self._chunks[self._leg], strict=True):
            if not self._weights:
                yield from self._take_weights()
            yield from self._prepare(batch)
            share = yield from self._evaluate(batch, self._encoded(chunk))
            answers.append((yield from self._take_logits(share)))
        return torch.cat(answers)

    def _take_weights(self) -> Generator[Want, torch.Tensor, None]:
        """Step 1."""
        lattice = self._plan.lattice
        scale = yield from self._take(self._program.output, 1)
        self._output_scale = int(scale.view(torch.int8))
        messages = []
        for hand_over in lattice.hand_overs:
            for one in hand_over.products:
                size = packed_bytes(lattice.c1_values(hand_over, one), one.c1_bits)
                messages.append((yield from self._take(one.step, size)))
        started = time.perf_counter()
        self._weights = received_weights(lattice, messages)
        self.preparation_seconds += time.perf_counter() - started

    def _prepare(self, batch: int) -> Generator[Want, torch.Tensor, None]:
        """Step 2."""
        started, lattice = time.perf_counter(), self._plan.lattice
        self._batch = DataOwnerBatch(lattice, self._public_polynomials, self._weights, batch, self._local)
        layers = [lattice.hand_overs[0], *lattice.hand_overs]
        for hand_over, message in zip(layers, self._batch.prepared_messages(), strict=True):
            self._post(hand_over.products[0].step, message)
        known = self._known_shares(batch)
        for activation in self._plan.activations:
            fresh = None
            if activation.is_known:
                own = fields_of(self._rounded(activation, known[activation.step.inputs[0]]))
            else:
                fresh = FreshShare(activation.widths, batch * activation.opening.elements, self._random_bytes)
                own = fresh.share
            talk = prepare_data_owner(activation.widths, own, self._material())
            self._ready.append((activation, (yield from self._talk(activation.step, talk)), fresh))
        self._products = dict(self._batch.shares)
        self.preparation_seconds += time.perf_counter() - started

    def _known_shares(self, batch: int) -> dict[int, Share]:
        """By position, D's share of all that it can compute before its images."""
        known: dict[int, Share] = {}
        for position, step in enumerate(self._program.steps):
            if step.kind == "product":
                known[position] = self._batch.shares[step.name]
            elif self._plan.is_known[position]:
                known[position] = self._local_step(position, [known[source] for source in step.inputs])
        return known

    def _rounded(self, activation: Activation, share: Share) -> Share:
        """D's share of a rounding; a constant that is added before it is M's affair."""
        widths = activation.widths
        return data_owner_share(share.reshape(-1), activation.source_bits, widths.width, widths.guard_bits)

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        """Step 3."""
        yield from ()
        for number in self._plan.hand_overs_at(position):
            one = self._plan.lattice.hand_overs[number]
            self._post(step, self._batch.hand_over(number, share << (one.fraction - self._below(position))))
        return share

    def _next_activation(self) -> Activation:
        return self._ready[0][0]

    def _rectified(self, activation: Activation, share: Share) -> Talk:
        _, ready, fresh = self._ready.pop(0)
        if fresh is not None:
            message = fresh.message(fields_of(self._rounded(activation, share)))
            self._post(activation.step, torch.from_numpy(message))
        result: Fields = yield from self._talk(activation.step, relu_data_owner(activation.widths, ready))
        return share_of(result)

    def _take_logits(self, share: Share) -> Talk:
        """Step 5. What M left out below its guard bits is taken for half of the last of them."""
        plan, below, output = self._plan, self._plan.below[-1], self._program.output
        message = yield from self._take(output, packed_bytes(share.numel(), plan.output_bits))
        theirs = unpack(message, share.numel(), plan.output_bits).view(share.shape)
        dropped = below - plan.output_guard_bits
        opened = share + (theirs << dropped) + ((1 << dropped) >> 1)
        scale = self._output_scale + below
        return decoded(opened, output.ring + below, scale, self._opening_of_logits).float()

    def _random_bytes(self, count: int) -> bytes:
        data: bytes = self._local.random_bytes(count).numpy().tobytes()
        return data
