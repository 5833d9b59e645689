"""The contract of a secure-inference scheme, and what every scheme does in the same way.

A scheme evaluates the model owner's network on the data owner's inputs and opens the logits, less what is common to the
classes of a sample, to the data owner only. One exchange runs both directions: party a's network on party b's inputs,
and the reverse. `testing.check_scheme` holds an implementation to this contract.
"""

from __future__ import annotations

import dataclasses
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from smule_crypten.config import SchemeConfig, Section
from smule_crypten.errors import ProtocolError
from smule_crypten.inference.noise import NoiseRule, Scatter, on_grid
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.calibration import MARGIN, largest_value
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.options import parse_options
from smule_crypten.types import Adversary, Cost, DirectionCost, InferenceQuery, PeerPrediction, centred

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What the owner of a network learns of it before it answers: that it fits, and how its logits scatter.

    logit_bound: a public bound for the magnitude of a logit. plain: the network's parameters. parameters: those that
    are evaluated in their place. A scheme may add what else it needs to answer.
    """

    logit_bound: float
    scatter: Scatter
    plain: Parameters
    parameters: Parameters


@dataclass(frozen=True, kw_only=True)
class AnswerTerms:
    """What a model owner says of its answers; the data owner may know it.

    logit_bound: beyond it an answer cannot be right. input_bound: beyond it an input is larger than what the network
    was examined for, so that hidden values may wrap unseen. logit_noise: standard deviation of each logit's noise.
    """

    logit_bound: float
    input_bound: float
    logit_noise: float


class SecureInferenceScheme(ABC):
    """A way to answer queries, bound to an open session.

    Args:
        device: where local steps may be computed; CrypTen's own protocols stay on the CPU.

    name: as in the configuration. adversary: whom it protects against ("none" protects nothing).
    needs_dealer: whether a third process must deal correlated randomness. noise: what the own network's answers get;
    None until somebody has said how many answers there will be.
    """

    name: ClassVar[str]
    adversary: ClassVar[Adversary]
    needs_dealer: ClassVar[bool]

    def __init__(self, session: Session, config: SchemeConfig, device: torch.device = CPU) -> None:
        self.session = session
        self.config = config.model_copy(update={"options": self.check_options(config)})
        self.device = device
        self.noise: NoiseRule | None = None
        self._logit_noise = 0.0
        self._examined: Examined | None = None
        self._architectures: tuple[Architecture, Architecture] | None = None

    def prepare(self, architectures: tuple[Architecture, Architecture]) -> None:
        """Fix the public architectures of party a and party b for all exchanges that follow."""
        self._architectures = architectures
        self.session.provider.agree(
            {
                "architectures": [architecture.to_json() for architecture in architectures],
                "scheme": self.config.model_copy(update={"name": self.name}).model_dump(mode="json"),
                "randomness": self.session.randomness,
                "seed": self.session.seed if self.session.randomness == "seeded_insecure" else 0,
            }
        )

    def announce(self, message: object) -> object:
        """Swap a JSON value with the peer, counted as control traffic: what each side is about to ask."""
        with self.session.meter.phase("control"):
            return self.session.channel.swap_json(message)

    def begin(self, index: int, counts: tuple[int, int]) -> None:
        """Agree on fresh keys for exchange `index`, in which party a and party b ask about counts samples."""
        self.session.begin_exchange(index, counts)

    @classmethod
    def check_options(cls, config: SchemeConfig) -> dict[str, Any]:
        """All options of this scheme, with their defaults where config leaves them out: parties that mean the same
        shall say the same.

        Raises:
            ConfigError: config holds an option that this scheme does not know, or cannot use.
        """
        return parse_options(Section, config.options, "scheme.options").model_dump()

    @classmethod
    def input_limit(cls, config: SchemeConfig) -> float:
        """Inputs must stay below this magnitude."""
        return largest_value(config.precision_bits)

    @classmethod
    @abstractmethod
    def examine(
        cls, network: TranslatedNetwork, inputs_NCHW: torch.Tensor, config: SchemeConfig, device: torch.device = CPU
    ) -> Examined:
        """Check by the owner's inputs that the network fits the scheme, and measure what rounding does to its logits.

        Raises:
            UnshareableModelError: names the layer that does not fit, and the remedy.
        """

    @classmethod
    def input_margin(cls, config: SchemeConfig) -> float:
        """How many times larger values may be on the peer's inputs than on those of `examine`."""
        return MARGIN

    @classmethod
    def terms(
        cls, examined: Examined, inputs_NCHW: torch.Tensor, config: SchemeConfig, noise: NoiseRule
    ) -> AnswerTerms:
        """What the owner says of its answers.

        Raises:
            UnshareableModelError: the noise would drown them.
        """
        largest = max(float(inputs_NCHW.abs().max()), 1e-6) if inputs_NCHW.numel() else 1.0
        return AnswerTerms(
            logit_bound=examined.logit_bound,
            input_bound=on_grid(cls.input_margin(config) * largest, up=False),
            logit_noise=noise.sigma(examined.scatter),
        )

    @property
    def largest_input(self) -> float:
        return self.input_limit(self.config)

    def output_noise(self, size: tuple[int, ...]) -> torch.Tensor | None:
        """Fresh noise for logits of this size, float64, from a stream that nobody else knows; None where there is
        none."""
        return self._logit_noise * self.session.streams.local.normal(size) if self._logit_noise else None

    def calibrate(self, model: nn.Module, inputs_NCHW: torch.Tensor) -> AnswerTerms:
        """Get ready to answer with model; to be called whenever it has changed. inputs_NCHW are this party's.

        Raises:
            ProtocolError: nobody has said how many answers the network will give (`noise`).
            UnshareableModelError: as `examine` and `terms`.
        """
        if self.noise is None:
            raise ProtocolError(f"scheme {self.name} was not told how many answers it may give; set its noise first")
        network = self._own_network(model)
        examined = self.examine(network, inputs_NCHW, self.config, self.device)
        terms = self.terms(examined, inputs_NCHW, self.config, self.noise)
        self._logit_noise = terms.logit_noise
        self._examined = examined
        return terms

    def exchange(self, model: nn.Module, asked: InferenceQuery, answered: InferenceQuery) -> PeerPrediction:
        """Answer the peer's query with model, and have the own query answered.

        Args:
            model: this party's network; evaluated as in evaluation mode, left unchanged.
            asked: this party's query, with inputs_NCHW (float32) and sample_ids.
            answered: the peer's query, without inputs.

        Raises:
            ProtocolError: not prepared, or model and inputs do not fit what was prepared.
            PeerError: the peer is gone or late.
        """
        network = self._check(model, asked, answered)
        examined = self._examination_of(network)
        meter = self.session.meter
        before, started = meter.total(), time.perf_counter()
        with meter.phase("online"):
            logits_NC, offline_seconds = self._run(examined, asked, answered)
        assert asked.sample_ids is not None
        return PeerPrediction(
            query_id=asked.query_id,
            sample_ids=asked.sample_ids,
            logits_NC=centred(logits_NC),
            model_step=asked.model_step,
            scheme=self.name,
            cost=dataclasses.replace(
                meter.total() - before,
                offline_seconds=offline_seconds,
                online_seconds=time.perf_counter() - started - offline_seconds,
                peak_memory_bytes=peak_memory_bytes(),
            ),
        )

    @classmethod
    @abstractmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        """What one direction costs each side: rounds and bytes, exact, without running anything. Times are zero.

        Args:
            architecture: the model owner's.
            dealt: whether a dealer deals the correlated randomness.
        """

    @classmethod
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        """What an exchange costs a party, from what each of its two directions costs it."""
        return asking + answering

    @classmethod
    def deal(
        cls,
        architecture: Architecture,
        num_samples: int,
        config: SchemeConfig,
        model_owner: Stream,
        data_owner: Stream,
    ) -> Iterator[torch.Tensor]:
        """What the dealer sends the model owner for one direction, in order.

        Args:
            architecture: the model owner's.
            model_owner, data_owner: the dealer's streams with either party for this direction.
        """
        return iter(())

    @abstractmethod
    def _run(self, examined: Examined, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        """Both directions, in micro-batches: the logits (N, C) of the own query, and seconds of it that an earlier
        preparation could have taken."""

    @property
    def architectures(self) -> tuple[Architecture, Architecture]:
        if self._architectures is None:
            raise ProtocolError(f"scheme {self.name} was not prepared; call prepare(architectures) first")
        return self._architectures

    def _check(self, model: nn.Module, asked: InferenceQuery, answered: InferenceQuery) -> TranslatedNetwork:
        rank = self.session.rank
        if (asked.data_owner, asked.model_owner) != (rank, 1 - rank) or answered.data_owner != 1 - rank:
            raise ProtocolError(f"query {asked.query_id}: asked must be this party's and answered the peer's")
        if asked.inputs_NCHW is None or asked.sample_ids is None:
            raise ProtocolError(f"query {asked.query_id} has no inputs; the data owner must supply them")
        expected = (asked.num_samples, *self.architectures[1 - rank].input_shape)
        if tuple(asked.inputs_NCHW.shape) != expected or len(asked.sample_ids) != asked.num_samples:
            found = tuple(asked.inputs_NCHW.shape)
            raise ProtocolError(f"query {asked.query_id}: inputs have shape {found}, expected {expected}")
        return self._own_network(model)

    def _examination_of(self, network: TranslatedNetwork) -> Examined:
        examined = self._examined
        if examined is None:
            raise ProtocolError("the model was not calibrated; call calibrate(model, inputs) before exchange")
        if not _are_equal(examined.plain, network.parameters):
            raise ProtocolError("the model has changed since it was calibrated; call calibrate(model, inputs) again")
        return examined

    def _own_network(self, model: nn.Module) -> TranslatedNetwork:
        own = self.architectures[self.session.rank]
        network = translate(model, own.input_shape)
        if network.architecture != own:
            raise ProtocolError("the model is not of the architecture that was prepared; a run keeps its architecture")
        return network


class SequentialScheme(SecureInferenceScheme):
    """A scheme that runs one direction after the other: first party a's network answers, then party b's."""

    def _run(self, examined: Examined, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        logits_NC = torch.empty(0)
        for model_owner in (0, 1):
            query = answered if model_owner == self.session.rank else asked
            opened = self._run_direction(examined.parameters, query, self.architectures[model_owner])
            if opened is not None:
                logits_NC = opened
        return logits_NC, 0.0

    @abstractmethod
    def _run_direction(
        self, parameters: Parameters, query: InferenceQuery, architecture: Architecture
    ) -> torch.Tensor | None:
        """Answer one query in micro-batches; the logits (N, C) at the data owner, None at the model owner.

        parameters are of this party's own network; architecture is the model owner's.
        """


def _are_equal(first: Parameters, second: Parameters) -> bool:
    return first.keys() == second.keys() and all(
        one is other or (one is not None and other is not None and torch.equal(one, other))
        for name in first
        for one, other in zip(first[name], second[name], strict=True)
    )


def micro_batches(num_samples: int, size: int) -> list[tuple[int, int]]:
    """(start, stop) of consecutive chunks of at most `size` samples."""
    return [(start, min(start + size, num_samples)) for start in range(0, num_samples, size)]


def peak_memory_bytes() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
