"""Secret-shared model applied to secret-shared inputs by CrypTen's own protocols, in the ring of 2^64 elements.

The protocols and what they open are in mpc/network.py. Semi-honest security as far as the provider goes: with
provider=trusted_first_party, party a deals the triples and could compute everything, so that is simulation only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import torch

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import MAX_PRECISION_BITS, SchemeConfig
from smule_crypten.inference.answerer import Answerer, AnswerTerms
from smule_crypten.inference.crypten_scatter import SharesInTheClear, products_of
from smule_crypten.inference.noise import NoiseRule, Trial, measured_scatter
from smule_crypten.inference.precision import Precision, check_precision, precision_of
from smule_crypten.inference.scheme import CPU, SequentialScheme, check_opening, micro_batches
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.calibration import MARGIN, calibrate
from smule_crypten.models.equalise import equalised
from smule_crypten.models.pooling import comparisons
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.dealing import Request, correction_bytes, corrections, plan
from smule_crypten.mpc.network import OUTPUT_LAYER, evaluate, open_logits, share_parameters, share_tensor
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Cost, DirectionCost, InferenceQuery, LogitOpening

_RING_BYTES = 8
_LEAST_VALUE = 32.0
"""Hidden channels are raised towards this magnitude: larger values lose less to fixed point, and need less noise."""
_RELU_ROUNDS = 9
_RELU_ELEMENTS = 29
"""Ring elements that one ReLU opens in each direction: 2 for the first AND of the carry tree, 6 times 4 for its
levels, 1 to convert the sign bit, 2 for the product."""


class CryptenScheme(SequentialScheme):
    name: ClassVar[str] = "crypten"
    traits: ClassVar[SchemeTraits] = SCHEME_TRAITS["crypten"]

    @classmethod
    def cost_of(
        cls, architecture: arch.Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        cost = DirectionCost(data_owner=Cost(), model_owner=Cost())
        for batch in micro_batches(num_samples, config):
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
    def answerer_of(
        cls,
        network: TranslatedNetwork,
        inputs_NX: torch.Tensor,
        config: SchemeConfig,
        noise: NoiseRule,
        device: torch.device = CPU,
        *,
        opening: LogitOpening = "differences",
    ) -> Answerer:
        check_opening(network.architecture, opening)
        alike, bits = equalised(network, inputs_NX, least=_LEAST_VALUE), config.precision_bits
        bound, plain_NC = _calibrated(alike, inputs_NX, bits)
        trial = Trial.of(inputs_NX, products_of(network.architecture))
        evaluator = SharesInTheClear(alike, bits, torch.Generator().manual_seed(0))
        evaluations_RNC = trial.evaluations(partial(evaluator.logits, opening=opening))
        found = precision_of(trial.own(evaluations_RNC[0]), plain_NC[trial.own_N], opening)
        check_precision(found, _finer(alike, inputs_NX, trial, bits, opening))
        scatter = measured_scatter(evaluations_RNC, len(trial.own_N), is_known=True, opening=opening)
        return Answerer(
            network=network,
            parameters=alike.parameters,
            config=config,
            scatter=scatter,
            terms=AnswerTerms.of(inputs_NX, margin=MARGIN, logit_bound=bound, logit_noise=noise.sigma(scatter)),
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
        self, answerer: Answerer, query: InferenceQuery, architecture: arch.Architecture
    ) -> torch.Tensor | None:
        """1. M shares its parameters, D its inputs. 2. Both evaluate. 3. M sends its share of the logits to D."""
        session = self.session
        is_model_owner = session.rank == query.model_owner
        own = answerer.parameters if is_model_owner else None
        parameters = share_parameters(architecture, own, query.model_owner)
        session.provider.begin_direction(query.model_owner, _requests(architecture, query.num_samples, self.config))
        answers = [torch.empty(0, *architecture.output_shape)]
        for size, chunk in self._chunks(query):
            given = None if chunk is None else arch.lifted(chunk)
            inputs = share_tensor(given, (size, *architecture.lifted_input_shape), query.data_owner)
            logits = evaluate(session, architecture, parameters, inputs)
            with session.meter.layer(OUTPUT_LAYER):
                noise = self.output_noise(answerer, tuple(logits.share.shape)) if is_model_owner else None
                opened = open_logits(session, logits, query.data_owner, noise, self.opening)
            if opened is not None:
                answers.append(opened)
        return None if is_model_owner else torch.cat(answers)


def _calibrated(network: TranslatedNetwork, inputs_NX: torch.Tensor, bits: int) -> tuple[float, torch.Tensor]:
    """The bound of a logit, and the logits of plain float64."""
    values = network.values(inputs_NX.double())
    return calibrate(network, values, bits), values[-1]


def _finer(
    network: TranslatedNetwork, inputs_NX: torch.Tensor, trial: Trial, precision_bits: int, opening: LogitOpening
) -> Iterator[tuple[str, Callable[[], Precision]]]:
    """More fractional bits, as far as the range allows, and what comes out with each."""
    for bits in range(precision_bits + 1, MAX_PRECISION_BITS + 1):

        def evaluate(bits: int = bits) -> Precision:
            _, plain_NC = _calibrated(network, inputs_NX, bits)
            evaluator = SharesInTheClear(network, bits, torch.Generator().manual_seed(0))
            return precision_of(evaluator.logits(trial.own(trial.inputs), opening), plain_NC[trial.own_N], opening)

        yield f"scheme.precision_bits={bits}", evaluate


def _requests(architecture: arch.Architecture, num_samples: int, config: SchemeConfig) -> Iterator[Request]:
    for batch in micro_batches(num_samples, config):
        yield from plan(architecture, batch)


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
