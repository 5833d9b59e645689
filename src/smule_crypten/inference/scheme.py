"""The contract of a secure-inference scheme, and what every scheme does in the same way.

A scheme evaluates the model owner's network on the data owner's inputs and opens the logits, with fresh noise on each,
to the data owner only. With opening "differences" that is less what is common to the classes of a sample, which the
model owner hides; with "values" it is each logit itself. One exchange runs both directions: party a's network on party
b's inputs, and the reverse. In the order of use:

    scheme = LeanScheme(session, config, architectures, opening="differences")
    answerer = scheme.prepare_answers(model, calibration_NX, noise)  # once for each version of the model
    scheme.begin(index, counts)  # fresh keys
    prediction = scheme.exchange(answerer, asked, answered)

`testing.check_scheme` holds an implementation to this contract.
"""

from __future__ import annotations

import dataclasses
import resource
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import nn

from smule_crypten.config.options import parse_options
from smule_crypten.config.schemes import SchemeTraits
from smule_crypten.config.sections import SchemeConfig, Section
from smule_crypten.errors import ProtocolError, UnshareableModelError
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.prices import Priced
from smule_crypten.models.agreement import check_answers
from smule_crypten.models.architecture import Architecture, num_elements
from smule_crypten.models.calibration import largest_value
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import InferenceQuery, LogitOpening, PeerPrediction, opened_logits

CPU = torch.device("cpu")


class SecureInferenceScheme(Priced):
    """A way to answer queries. The class alone says what it costs, and what fits; an object is bound to a session.

    name: as in the configuration. traits: its row in config/schemes.py.

    Args:
        architectures: of party a and party b, public and the same for all exchanges; the dealer agrees on them.
        device: where local steps may be computed; CrypTen's own protocols stay on the CPU.
        opening: what answers open, the same at both parties. It changes neither what is dealt nor what is paid: as many
            ring elements cross in both cases.

    Raises:
        UnshareableModelError: a network of one output has no differences to open.
    """

    name: ClassVar[str]
    traits: ClassVar[SchemeTraits]

    def __init__(
        self,
        session: Session,
        config: SchemeConfig,
        architectures: tuple[Architecture, Architecture],
        device: torch.device = CPU,
        *,
        opening: LogitOpening = "differences",
    ) -> None:
        for architecture in architectures:
            check_opening(architecture, opening)
        self.session = session
        self.config = config.model_copy(update={"options": self.check_options(config)})
        self.architectures = architectures
        self.device = device
        self.opening = opening
        session.provider.agree(
            {
                "architectures": [architecture.to_json() for architecture in architectures],
                "scheme": config.model_copy(update={"name": self.name}).model_dump(mode="json"),
                "randomness": session.randomness,
                "seed": session.seed if session.randomness == "seeded_insecure" else 0,
            }
        )

    @classmethod
    def check_options(cls, config: SchemeConfig) -> dict[str, Any]:
        """All options of this scheme, with their defaults where config leaves them out.

        Parties that mean the same shall say the same.

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
        """Check by the owner's inputs that network fits the scheme, and how much noise hides its rounding.

        Args:
            opening: what the answers open; bounds, ranges and noise follow from it.

        Raises:
            UnshareableModelError: names the layer that does not fit, or says that the noise would drown the answers, or
                that there is nothing to open, and the remedy.
        """

    @classmethod
    def deal(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, model_owner: Stream, data_owner: Stream
    ) -> Iterator[torch.Tensor]:
        """What the dealer sends the model owner for one direction, in order.

        Args:
            architecture: the model owner's.
            model_owner: the dealer's stream with that party for this direction.
            data_owner: likewise.
        """
        return iter(())

    def announce(self, message: object) -> object:
        """Swap a JSON value with the peer, counted as control traffic: what each side is about to ask."""
        self.settle()
        with self.session.meter.phase("control"):
            return self.session.channel.swap_json(message)

    @property
    def largest_input(self) -> float:
        return self.input_limit(self.config)

    def prepare_answers(self, model: nn.Module, calibration_NX: torch.Tensor, noise: NoiseRule) -> Answerer:
        """Translate model as it is now, compare the translation with it, and get it ready to answer.

        Args:
            model: this party's network; evaluated as in evaluation mode, left unchanged.
            calibration_NX: inputs of this party.

        Raises:
            ProtocolError: model is not of the architecture that was agreed on.
            UnshareableModelError: it cannot be translated, computes something else, or as `answerer_of`.
        """
        own = self.architectures[self.session.rank]
        network = translate(model, own.input_shape)
        if network.architecture != own:
            raise ProtocolError("the model is not of the architecture that was prepared; a run keeps its architecture")
        check_answers(model, network, calibration_NX)
        return self.answerer_of(network, calibration_NX, self.config, noise, self.device, opening=self.opening)

    def begin(self, index: int, counts: tuple[int, int]) -> None:
        """Agree on fresh keys for exchange `index`, in which party a and party b ask about counts samples."""
        self.settle()
        self.session.begin_exchange(index, counts)

    def check(self) -> None:
        """Raise where a link has failed meanwhile, and work a little on what an exchange that has begun will need.

        Never waits for the peer; call it between the steps of long local work.
        """
        self.session.check()

    def settle(self) -> None:
        """Finish what was worked on ahead, and read what the peer sent of it, before anything else crosses the link.

        May wait for the peer. Its cost is not that of the exchange; free where nothing is done ahead, or all is done.
        """

    def exchange(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> PeerPrediction:
        """Answer the peer's query, and have this party's query answered.

        Args:
            answerer: made by `prepare_answers`.
            asked: this party's query, with inputs_NX (float32) and sample_ids.
            answered: the peer's query, without inputs.

        Raises:
            ProtocolError: answerer or inputs do not fit what was agreed on; nothing was sent.
            PeerError: the peer is gone or late.
        """
        self._check(answerer, asked, answered)
        meter, started = self.session.meter, time.perf_counter()
        self.settle()
        before, settled = meter.total("online"), time.perf_counter() - started
        with meter.phase("online"):
            logits_NC, offline_seconds = self._run(answerer, asked, answered)
        offline_seconds += settled
        assert asked.sample_ids is not None
        return PeerPrediction(
            query_id=asked.query_id,
            sample_ids=asked.sample_ids,
            logits_NC=opened_logits(logits_NC, self.opening),
            model_step=asked.model_step,
            scheme=self.name,
            cost=dataclasses.replace(
                meter.total("online") - before,
                offline_seconds=offline_seconds,
                online_seconds=time.perf_counter() - started - offline_seconds,
                peak_memory_bytes=peak_memory_bytes(),
            ),
        )

    @abstractmethod
    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        """Both directions, in micro-batches: the logits (N, C) of this party's query, and seconds.

        Those are what an earlier preparation could have taken.
        """

    def output_noise(self, answerer: Answerer, size: tuple[int, ...]) -> torch.Tensor | None:
        """Fresh noise for logits of this size, float64, from a stream that nobody else knows; None for none.

        Each logit has its own, whatever is opened: with "values" nothing else covers what the logits have in common.
        """
        sigma = answerer.terms.logit_noise
        return sigma * self.session.streams.local.normal(size) if sigma else None

    def _check(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> None:
        rank = self.session.rank
        if (asked.data_owner, asked.model_owner) != (rank, 1 - rank) or answered.data_owner != 1 - rank:
            raise ProtocolError(f"query {asked.query_id}: asked must be this party's and answered the peer's")
        if asked.inputs is None or asked.sample_ids is None:
            raise ProtocolError(f"query {asked.query_id} has no inputs; the data owner must supply them")
        expected = (asked.num_samples, *self.architectures[1 - rank].input_shape)
        if tuple(asked.inputs.shape) != expected or len(asked.sample_ids) != asked.num_samples:
            found = tuple(asked.inputs.shape)
            raise ProtocolError(f"query {asked.query_id}: inputs have shape {found}, expected {expected}")
        prepared = answerer.network.architecture, answerer.config, answerer.opening
        if prepared != (self.architectures[rank], self.config, self.opening):
            raise ProtocolError("the model was prepared for another run; call prepare_answers of this scheme")


class SequentialScheme(SecureInferenceScheme):
    """A scheme that runs one direction after the other: first party a's network answers, then party b's."""

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        logits_NC = torch.empty(0)
        for model_owner in (0, 1):
            query = answered if model_owner == self.session.rank else asked
            opened = self._run_direction(answerer, query, self.architectures[model_owner])
            if opened is not None:
                logits_NC = opened
        return logits_NC, 0.0

    @abstractmethod
    def _run_direction(
        self, answerer: Answerer, query: InferenceQuery, architecture: Architecture
    ) -> torch.Tensor | None:
        """Answer one query in micro-batches; the logits (N, C) at the data owner, None at the model owner.

        answerer is this party's own; architecture is the model owner's.
        """

    def _chunks(self, query: InferenceQuery) -> Iterator[tuple[int, torch.Tensor | None]]:
        """The size of each micro-batch of a query, and at the data owner its inputs."""
        sizes = micro_batches(query.num_samples, self.config)
        if query.inputs is None:
            return iter([(size, None) for size in sizes])
        return zip(sizes, torch.split(query.inputs, sizes), strict=True)


def check_opening(architecture: Architecture, opening: LogitOpening) -> None:
    """Raises UnshareableModelError where this opening would open nothing."""
    if opening == "differences" and num_elements(architecture.output_shape) < 2:
        raise UnshareableModelError(
            "the output",
            "it is one number, and a classification opens the differences between two or more",
            "give it one output for each class, or choose task=multilabel or task=regression, which open values",
        )


def micro_batches(num_samples: int, config: SchemeConfig) -> list[int]:
    """How many samples are evaluated together, one chunk after the other."""
    return [min(config.micro_batch, num_samples - start) for start in range(0, num_samples, config.micro_batch)]


def peak_memory_bytes() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
