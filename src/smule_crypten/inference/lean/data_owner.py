"""D's side of a direction: its inputs under masks, and products that do not depend on them."""

from __future__ import annotations

import time
from collections.abc import Generator

import torch

from smule_crypten.fixed_point.decoding import decoded
from smule_crypten.fixed_point.evaluator import Share, Talk
from smule_crypten.fixed_point.products import multiply
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.fixed_point.wire import Script, Want
from smule_crypten.inference.lean.dealing import (
    OpeningMaterial,
    dealt_fields,
    draw,
    drawn_fields,
    mask_fields,
    product_fields,
)
from smule_crypten.inference.lean.roles import ShareEvaluator
from smule_crypten.models.architecture import num_elements
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import LogitOpening


class DataOwner(ShareEvaluator):
    """Has one query answered in micro-batches.

    Args:
        inputs_NX: float32.
        dealt: the stream with the dealer for this direction.
        opening: what the other side opens; the same at both.

    preparation_seconds: time spent on what does not depend on the inputs.
    """

    is_model_owner = False

    def __init__(
        self,
        program: Program,
        device: torch.device,
        batches: list[int],
        *,
        inputs_NX: torch.Tensor,
        dealt: Stream,
        opening: LogitOpening = "differences",
    ) -> None:
        super().__init__(program, device)
        self._batches = batches
        self._chunks = torch.split(inputs_NX, batches) if batches else ()
        self._dealt = dealt
        self._opening_of_logits = opening
        self._output_scale = 0
        self._weights: dict[str, torch.Tensor] = {}
        self._masks: dict[int, torch.Tensor] = {}
        self._results: dict[int, torch.Tensor] = {}
        self._materials: list[OpeningMaterial] = []
        self.preparation_seconds = 0.0

    def run(self) -> Script:
        """Returns what is opened of the logits (N, C), float32."""
        output = self._program.output
        answers = [torch.empty(0, *output.shape)]
        if self._batches:
            yield from self._take_weights()
        for batch, chunk in zip(self._batches, self._chunks, strict=True):
            self._prepare(batch)
            share = yield from self._evaluate(batch, self._encoded(chunk))
            opened = share + (yield from self._take_values(output, batch * output.elements)).view(share.shape)
            answers.append(decoded(opened, output.ring, self._output_scale, self._opening_of_logits).float().cpu())
        return torch.cat(answers)

    def _take_weights(self) -> Generator[Want, torch.Tensor, None]:
        scale = yield from self._take(self._program.output, 1)
        self._output_scale = int(scale.view(torch.int8))
        for step in self._program.products:
            shape = step.weighted.weight_shape
            weight = yield from self._take_values(step, num_elements(shape))
            self._weights[step.name] = weight.view(shape)

    def _prepare(self, batch: int) -> None:
        """Draw the material of a micro-batch, and compute the shares of all products: -L_{W - A}(r) - c_D."""
        started = time.perf_counter()
        self._materials = []
        for position, step in enumerate(self._program.steps):
            if step.kind == "mask":
                mask = draw(mask_fields(step, batch), self._dealt).to(self._device).values("mask")
                self._masks[position] = mask.view(batch, *step.shape)
            elif step.kind == "product":
                dealt = draw(product_fields(step, batch), self._dealt).to(self._device).values("result")
                mask, weight = self._masks[step.inputs[0]], self._weights[step.name]
                product = multiply(step.weighted, mask, weight, step.pool, step.ring)
                self._results[position] = -product - dealt.view(product.shape)
            for opening in step.openings:
                drawn = draw(drawn_fields(opening, batch), self._dealt).to(self._device)
                shares = draw(dealt_fields(opening, batch), self._dealt).to(self._device)
                self._materials.append(OpeningMaterial(drawn, shares, opening.dtype))
        self.preparation_seconds += time.perf_counter() - started

    def _input_mask(self, position: int) -> torch.Tensor:
        return self._masks.pop(position)

    def _product(self, position: int, step: Step, share: Share) -> Share:
        return self._results.pop(position)

    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        kind = share.dtype
        if opening.fraction:
            share = share + material.drawn.values("rounding", kind)
        own = share + (material.mask << opening.fraction)
        self._post(step, pack(own, opening.source_bits))
        data = yield from self._take(step, packed_bytes(own.numel(), opening.width))
        theirs = unpack(data, own.numel(), opening.width, kind)
        return ((own >> opening.fraction) + theirs) & ((1 << opening.width) - 1)

    def _material(self, opening: Opening, batch: int) -> OpeningMaterial:
        return self._materials.pop(0)
