"""M's side of a direction: its weights under masks, one product of integers per layer, its share of the logits."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import torch

from smule_crypten.comparison.material import ModelOwnerMaterial
from smule_crypten.comparison.relu import ModelOwnerReady, prepare_model_owner, relu_model_owner
from smule_crypten.comparison.remask import remask_bytes
from smule_crypten.comparison.widths import modulo
from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.program import Step
from smule_crypten.fixed_point.role import OutputNoise, concealed
from smule_crypten.fixed_point.scales import Scales, integer_parameters
from smule_crypten.fixed_point.wire import Script, Want
from smule_crypten.lattice.handover import ModelOwnerBatch
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.truncation import model_owner_share
from smule_crypten.lattice.weights import MaskedWeights
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.two_party.plan import Activation, DirectionPlan
from smule_crypten.two_party.roles import ShareEvaluator, fields_of, share_of
from smule_crypten.types import LogitOpening


class ModelOwner(ShareEvaluator):
    """Answers one query in micro-batches.

    Args:
        public: the polynomials of this direction.
        local: a stream that nobody else knows.
        material: the next material of an opening.
        output_noise: what is added to logits of this size.
        opening: with "differences" what is common to the logits of a sample is hidden; "values" opens each.
        device: where the products of integers are computed.
    """

    is_model_owner = True

    def __init__(
        self,
        plan: DirectionPlan,
        *,
        public: PublicPolynomials,
        parameters: Parameters,
        scales: Scales,
        local: Stream,
        material: Callable[[], ModelOwnerMaterial],
        output_noise: OutputNoise,
        opening: LogitOpening,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(plan)
        self._products_device = device
        self._public_polynomials = public
        self._local = local
        self._material = material
        self._output_noise = output_noise
        self._opening_of_logits = opening
        self._scale = scales.output
        self._weights, self._biases = integer_parameters(plan.program, parameters, scales)
        self._masked: MaskedWeights | None = None
        self._ready: list[tuple[Activation, ModelOwnerReady]] = []

    def run(self) -> Script:
        for batch in self._plan.batches[self._leg]:
            self._masked = self._masked or self._send_weights()
            yield from self._prepare(self._masked, batch)
            share = yield from self._evaluate(batch, None)
            self._send_logits(share)
        return torch.empty(0)

    def _send_weights(self) -> MaskedWeights:
        """Step 1."""
        started = time.perf_counter()
        output = self._plan.program.output
        self._post(output, torch.tensor([self._scale], dtype=torch.int8).view(torch.uint8))
        masked = MaskedWeights(
            self._plan.lattice, self._public_polynomials, self._weights, self._local, self._products_device
        )
        products = [one for hand_over in self._plan.lattice.hand_overs for one in hand_over.products]
        for one, message in zip(products, masked.messages(), strict=True):
            self._post(one.step, message)
        self.preparation_seconds += time.perf_counter() - started
        return masked

    def _prepare(self, masked: MaskedWeights, batch: int) -> Generator[Want, torch.Tensor, None]:
        """Step 2."""
        lattice, messages = self._plan.lattice, []
        first = lattice.hand_overs[0].products[0].step
        messages.append((yield from self._take(first, lattice.p_bytes(batch))))
        for one in lattice.hand_overs:
            size = packed_bytes(one.prepared_values(batch), one.value_bits)
            messages.append((yield from self._take(one.products[0].step, size)))
        started = time.perf_counter()
        self._batch = ModelOwnerBatch(lattice, masked, batch, messages)
        self.preparation_seconds += time.perf_counter() - started
        for activation in self._plan.activations:
            count = batch * activation.opening.elements
            talk = prepare_model_owner(activation.widths, count, self._material())
            self._ready.append((activation, (yield from self._talk(activation.step, talk))))

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        """Step 3."""
        lattice = self._plan.lattice
        for number in self._plan.hand_overs_at(position):
            one = lattice.hand_overs[number]
            size = packed_bytes(one.online_values(len(share)), one.value_bits)
            message = yield from self._take(step, size)
            own = None if one.is_input else share << (one.fraction - self._below(position))
            self._products.update(self._batch.multiply(number, message, own))
        return share

    def _product(self, position: int, step: Step, share: Share) -> Share:
        result, bias = super()._product(position, step, share), self._biases.get(step.name)
        return result if bias is None else result + (bias << self._below(position))

    def _next_activation(self) -> Activation:
        return self._ready[0][0]

    def _rectified(self, activation: Activation, share: Share) -> Talk:
        _, ready = self._ready.pop(0)
        widths, bits = activation.widths, activation.source_bits
        if not activation.is_known:
            message = yield from self._take(activation.step, remask_bytes(widths, len(share)))
            share = share + (unpack(message, len(share), widths.fine) << (bits - widths.fine))
        own = modulo(fields_of(model_owner_share(share, bits, widths.width, self._local)), widths.width)
        result = yield from self._talk(activation.step, relu_model_owner(widths, ready, own))
        return share_of(result)

    def _send_logits(self, share: Share) -> None:
        """Step 5."""
        plan, below = self._plan, self._plan.below[-1]
        output, scale = plan.program.output, self._scale + below
        opening, packed = self._opening_of_logits, self._local.packed
        share = concealed(share, output.ring + below, scale, opening, self._output_noise, packed)
        self._post(output, pack(share >> (below - plan.output_guard_bits), plan.output_bits))
