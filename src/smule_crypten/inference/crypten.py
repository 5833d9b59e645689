"""Secret-shared model applied to secret-shared inputs by CrypTen's own protocols, in the ring of 2^64 elements.

The protocols and what they open stand in mpc/network.py. Semi-honest security as far as the provider goes: with
provider=trusted_first_party, party a deals the triples and could compute everything, so that is simulation only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch

from smule_crypten.config.sections import MAX_PRECISION_BITS, SchemeConfig
from smule_crypten.inference.crypten_scatter import SharesInTheClear, products_of
from smule_crypten.inference.noise import Trial, measured_scatter
from smule_crypten.inference.precision import Precision, check_precision, precision_of
from smule_crypten.inference.scheme import CPU, Examined, SequentialScheme, micro_batches
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.calibration import calibrate
from smule_crypten.models.equalise import equalised
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.pooling import comparisons
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.dealing import Request, correction_bytes, corrections, plan
from smule_crypten.mpc.network import OUTPUT_LAYER, evaluate, open_logits, share_parameters, share_tensor
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Adversary, Cost, DirectionCost, InferenceQuery

_RING_BYTES = 8
_LEAST_VALUE = 32.0
"""Hidden channels are raised towards this magnitude: larger values lose less to fixed point, and need less noise."""
_RELU_ROUNDS = 9
_RELU_ELEMENTS = 29
"""Ring elements that one ReLU opens in each direction: 2 for the first AND of the carry tree, 6 times 4 for its
levels, 1 to convert the sign bit, 2 for the product."""


class CryptenScheme(SequentialScheme):
    name: ClassVar[str] = "crypten"
    adversary: ClassVar[Adversary] = "semi-honest"
    needs_dealer: ClassVar[bool] = True

    @classmethod
    def cost_of(
        cls, architecture: arch.Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        cost = DirectionCost(data_owner=Cost(), model_owner=Cost())
        for start, stop in micro_batches(num_samples, config.micro_batch):
            batch = stop - start
            for op in architecture.ops:
                step = _op_cost(architecture, op, batch)
                cost += DirectionCost(data_owner=step, model_owner=step)
            opened = _RING_BYTES * batch * num_elements(architecture.output_shape)
            dealer_bytes = sum(map(correction_bytes, plan(architecture, batch))) if dealt else 0
            cost += DirectionCost(
                data_owner=Cost(rounds=1, bytes_received=opened),
                model_owner=Cost(rounds=1, bytes_sent=opened, dealer_bytes=dealer_bytes),
            )
        return cost

    @classmethod
    def examine(
        cls, network: TranslatedNetwork, inputs_NCHW: torch.Tensor, config: SchemeConfig, device: torch.device = CPU
    ) -> Examined:
        alike, bits = equalised(network, inputs_NCHW, least=_LEAST_VALUE), config.precision_bits
        bound, trial = calibrate(alike, inputs_NCHW, bits), Trial.of(inputs_NCHW, products_of(network.architecture))
        evaluations_RNC = trial.evaluations(SharesInTheClear(alike, bits, torch.Generator().manual_seed(0)).logits)
        own = precision_of(evaluations_RNC[0, : len(trial.own_NCHW)], network, trial.own_NCHW)
        check_precision(own, _finer(alike, inputs_NCHW, trial.own_NCHW, bits))
        return Examined(
            logit_bound=bound,
            scatter=measured_scatter(evaluations_RNC, is_known=True),
            plain=network.parameters,
            parameters=alike.parameters,
        )

    @classmethod
    def deal(
        cls,
        architecture: arch.Architecture,
        num_samples: int,
        config: SchemeConfig,
        model_owner: Stream,
        data_owner: Stream,
    ) -> Iterator[torch.Tensor]:
        return corrections(_requests(architecture, num_samples, config), model_owner, data_owner)

    def _run_direction(
        self, own: Parameters, query: InferenceQuery, architecture: arch.Architecture
    ) -> torch.Tensor | None:
        """1. M shares its parameters, D its inputs. 2. Both evaluate. 3. M sends its share of the logits to D."""
        session = self.session
        is_model_owner = session.rank == query.model_owner
        parameters = share_parameters(architecture, own if is_model_owner else None, query.model_owner)
        session.provider.begin_direction(query.model_owner, _requests(architecture, query.num_samples, self.config))
        answers = []
        for start, stop in micro_batches(query.num_samples, self.config.micro_batch):
            chunk = None if query.inputs_NCHW is None else query.inputs_NCHW[start:stop]
            inputs = share_tensor(chunk, (stop - start, *architecture.input_shape), query.data_owner)
            logits = evaluate(session, architecture, parameters, inputs)
            with session.meter.layer(OUTPUT_LAYER):
                noise = self.output_noise(tuple(logits.share.shape)) if is_model_owner else None
                opened = open_logits(session, logits, query.data_owner, noise)
            if opened is not None:
                answers.append(opened)
        if is_model_owner:
            return None
        return torch.cat([torch.empty(0, *architecture.output_shape), *answers])


def _finer(
    network: TranslatedNetwork, inputs_NCHW: torch.Tensor, chosen_NCHW: torch.Tensor, precision_bits: int
) -> Iterator[tuple[str, Callable[[], Precision]]]:
    """More fractional bits, as far as the range allows, and what comes out with each."""
    for bits in range(precision_bits + 1, MAX_PRECISION_BITS + 1):

        def evaluate(bits: int = bits) -> Precision:
            calibrate(network, inputs_NCHW, bits)
            evaluator = SharesInTheClear(network, bits, torch.Generator().manual_seed(0))
            return precision_of(evaluator.logits(chosen_NCHW), network, chosen_NCHW)

        yield f"scheme.precision_bits={bits}", evaluate


def _requests(architecture: arch.Architecture, num_samples: int, config: SchemeConfig) -> Iterator[Request]:
    for start, stop in micro_batches(num_samples, config.micro_batch):
        yield from plan(architecture, stop - start)


def _op_cost(architecture: arch.Architecture, op: arch.Op, batch: int) -> Cost:
    match op:
        case arch.Conv2d() | arch.Linear():
            (input_shape,) = architecture.input_shapes(op)
            return _symmetric(1, batch * num_elements(input_shape) + num_elements(op.weight_shape))
        case arch.ReLU():
            (input_shape,) = architecture.input_shapes(op)
            return _symmetric(_RELU_ROUNDS, _RELU_ELEMENTS * batch * num_elements(input_shape))
        case arch.MaxPool2d():
            position = architecture.ops.index(op)
            windows = batch * num_elements(architecture.shapes[position])
            pairs = comparisons(op)
            return _symmetric(_RELU_ROUNDS * len(pairs), _RELU_ELEMENTS * windows * sum(pairs))
        case _:
            return Cost()


def _symmetric(rounds: int, elements: int) -> Cost:
    """Both parties send `elements` ring elements to each other."""
    return Cost(rounds=rounds, bytes_sent=_RING_BYTES * elements, bytes_received=_RING_BYTES * elements)
