"""M's side of a direction: its weights under masks, one product a layer, and its share of the logits at the end."""

from __future__ import annotations

from collections.abc import Callable

import torch

from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.products import multiply
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.fixed_point.role import OutputNoise, concealed
from smule_crypten.fixed_point.scales import Scales, integer_parameters
from smule_crypten.fixed_point.wire import Script
from smule_crypten.inference.lean.dealing import (
    OpeningMaterial,
    PackedFields,
    dealt_fields,
    draw,
    draw_weight_masks,
    drawn_fields,
    fields_bytes,
    product_fields,
)
from smule_crypten.inference.lean.roles import ShareEvaluator
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import LogitOpening

ReceiveCorrection = Callable[[int], torch.Tensor]


class ModelOwner(ShareEvaluator):
    """Answers one query in micro-batches.

    Args:
        dealt: the stream with the dealer for this direction.
        local: a stream that nobody else knows.
        receive_correction: the next correction, of so many bytes, from the dealer.
        output_noise: what is added to logits of this size.
        opening: with "differences" what is common to the logits of a sample is hidden; "values" opens each.
    """

    is_model_owner = True

    def __init__(
        self,
        program: Program,
        device: torch.device,
        batches: list[int],
        *,
        parameters: Parameters,
        scales: Scales,
        dealt: Stream,
        local: Stream,
        receive_correction: ReceiveCorrection,
        output_noise: OutputNoise | None = None,
        opening: LogitOpening = "differences",
    ) -> None:
        super().__init__(program, device)
        self._batches = batches
        self._dealt = dealt
        self._local = local
        self._output_noise = output_noise
        self._opening_of_logits = opening
        self._receive_correction = receive_correction
        self._scales = scales
        self._weights, self._biases = integer_parameters(program, parameters, scales)

    def run(self) -> Script:
        if self._batches:
            self._send_weights()
        for batch in self._batches:
            share = yield from self._evaluate(batch, None)
            share = concealed(
                share,
                self._program.output.ring,
                self._scales.output,
                self._opening_of_logits,
                self._output_noise,
                self._local.packed,
            )
            self._post(self._program.output, pack(share, self._program.output.ring))
        return torch.empty(0)

    def _send_weights(self) -> None:
        """The scale of the output, and each weight less its mask: once for all micro-batches."""
        self._post(self._program.output, torch.tensor([self._scales.output], dtype=torch.int8).view(torch.uint8))
        masks = draw_weight_masks(self._program, self._dealt)
        for step in self._program.products:
            weight = self._weights[step.name]
            self._post(step, pack(weight - masks[step.name], step.ring))
            self._weights[step.name] = weight.to(self._device)

    def _input_mask(self, position: int) -> None:
        return None

    def _product(self, position: int, step: Step, share: Share) -> Share:
        result = multiply(step.weighted, share, self._weights[step.name], step.pool, step.ring)
        correction = self._correction(product_fields(step, len(share))).values("result")
        result -= correction.view(result.shape)
        bias = self._biases.get(step.name)
        return result if bias is None else result + bias.to(self._device)

    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        fraction, below, kind = opening.fraction, (1 << opening.fraction) - 1, share.dtype
        data = yield from self._take(step, packed_bytes(share.numel(), opening.source_bits))
        theirs = unpack(data, share.numel(), opening.source_bits, kind)
        if fraction:
            share = share + material.drawn.values("rounding", kind)
            share += theirs & below
        own = (share >> fraction) + material.mask
        self._post(step, pack(own, opening.width))
        return (own + (theirs >> fraction)) & ((1 << opening.width) - 1)

    def _material(self, opening: Opening, batch: int) -> OpeningMaterial:
        drawn = draw(drawn_fields(opening, batch), self._dealt).to(self._device)
        return OpeningMaterial(drawn, self._correction(dealt_fields(opening, batch)), opening.dtype)

    def _correction(self, fields: dict[str, tuple[int, int]]) -> PackedFields:
        return PackedFields(self._receive_correction(fields_bytes(fields)).to(self._device), fields)
