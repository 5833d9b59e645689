"""The ideal function of the lean scheme: its integers in the clear, rounded stochastically as the protocol does.

Both roles together compute exactly this, for rho drawn by the dealer's streams (docs/protocol.md). M uses it to see,
before it answers anything, what rounding does to its own logits. D sees nothing of rho
(inference/lean/roles.py, step 2), so all of the scatter of the logits is unknown to it.
"""

from __future__ import annotations

import torch

from smule_crypten.fixed_point.decoding import decoded
from smule_crypten.fixed_point.evaluator import Evaluator, Share, Talk
from smule_crypten.fixed_point.products import multiply
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.fixed_point.scales import Scales, integer_parameters
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.mpc.packing import signed
from smule_crypten.types import LogitOpening


class ClearEvaluator(Evaluator):
    """Evaluates a program on plain integers; a "share" is the value itself.

    Args:
        generator: where rho comes from. It gives no protection, so it need not be cryptographic.
    """

    is_model_owner = True

    def __init__(
        self, program: Program, parameters: Parameters, scales: Scales, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__(program, device)
        self._scales = scales
        weights, biases = integer_parameters(program, parameters, scales)
        self._weights = {name: weight.to(device) for name, weight in weights.items()}
        self._biases = {name: bias.to(device) for name, bias in biases.items()}
        self._generator = generator

    def logits(self, inputs_NX: torch.Tensor, opening: LogitOpening = "differences") -> torch.Tensor:
        """What is opened of the logits (N, C), float64, of one evaluation of each input; without noise."""
        encoded = self._encoded(inputs_NX)
        try:
            next(self._evaluate(len(encoded), encoded))
        except StopIteration as end:
            return decoded(end.value, self._program.output.ring, self._scales.output, opening)
        raise AssertionError("in the clear there is nothing to wait for")

    def _hand_over(self, position: int, step: Step, share: Share) -> Talk:
        yield from ()
        return share

    def _product(self, position: int, step: Step, share: Share) -> Share:
        result = multiply(step.weighted, share, self._weights[step.name], step.pool, step.ring)
        bias = self._biases.get(step.name)
        return result if bias is None else result + bias

    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        """max(v, -offset) for v = floor((z + rho) / 2^f), where v + offset is wrapped into w bits."""
        yield from ()
        rounded = (share.reshape(-1) + self._rho(opening, share)) >> opening.fraction
        return signed(rounded + opening.offset, opening.width).clamp(min=0) - opening.offset

    def _rho(self, opening: Opening, share: Share) -> torch.Tensor | int:
        """Uniform below 2^f, one for each value."""
        if not opening.fraction:
            return 0
        rho = torch.randint(0, 1 << opening.fraction, (share.numel(),), generator=self._generator)
        return rho.to(self._device)
