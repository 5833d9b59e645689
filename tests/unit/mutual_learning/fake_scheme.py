"""A SecurePeer whose scheme, and what is behind it, is an object in memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.data.samples import Samples
from smule_crypten.inference.answerer import Answerer, AnswerTerms
from smule_crypten.inference.noise import NoiseRule, Scatter
from smule_crypten.models.calibration import calibrate, largest_value
from smule_crypten.models.translate import translate
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers
from smule_crypten.mutual_learning.planner import configured_queries
from smule_crypten.mutual_learning.queries import QueryPlan
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.transport.meter import CostMeter
from smule_crypten.types import Cost, InferenceQuery, PeerPrediction

IDS = torch.tensor([40, 7, 1000, 3])
PEER_STEP = 12
BOUND = 2.0**15
INPUT_BOUND = 2.0**12
TERMS = {"logit_bound": BOUND, "input_bound": INPUT_BOUND, "logit_noise": 0.0}
MODEL = nn.Flatten()
PRECISION_BITS = 8


class FakeScheme:
    """A peer in memory: answers each image with (pixel, -pixel), and announces what the test wants.

    Where announces is None, the peer asks about two samples in step with this party. It prepares for as many as it asks
    about, or for what prepares says, and says that it asks about at most `most`.
    """

    def __init__(self, rank: int = 0, announces: Any = None, prepares: Any = None) -> None:
        self.session = SimpleNamespace(rank=rank, meter=CostMeter())
        self.prepares = prepares
        self.prepared: list[Any] = []
        self.most: Any = 3
        architecture = translate(MODEL, (1, 1, 1)).architecture
        self.architectures = (architecture, architecture)
        self.announces = announces
        self.announced: list[Any] = []
        self.begun: list[tuple[int, tuple[int, int]]] = []
        self.noise_rules: list[NoiseRule] = []
        self.answerers: list[Answerer] = []
        self.exchanges: list[tuple[Answerer, InferenceQuery, InferenceQuery]] = []
        self.damage: list[dict[int, float]] = []
        """For each exchange, the logit to answer by sample id in place of the right one."""

    @property
    def largest_input(self) -> float:
        return largest_value(PRECISION_BITS)

    def prepare_answers(self, model: nn.Module, inputs_NX: torch.Tensor, noise: NoiseRule) -> Answerer:
        self.noise_rules.append(noise)
        network = translate(model, (1, 1, 1))
        bound = calibrate(network, network.values(inputs_NX.double()), PRECISION_BITS)
        answerer = Answerer(
            network=network,
            parameters=network.parameters,
            config=SchemeConfig(name="fake"),
            scatter=Scatter(),
            terms=AnswerTerms(logit_bound=bound, input_bound=INPUT_BOUND, logit_noise=0.25),
        )
        self.answerers.append(answerer)
        return answerer

    def announce(self, message: Any) -> Any:
        self.session.meter.record(rounds=1, bytes_sent=10, bytes_received=10)
        if "asks_at_most" in message:
            return {"asks_at_most": self.most}
        if "prepared_query" in message:
            self.prepared.append(message)
            asked = self.announces.get("num_samples") if isinstance(self.announces, dict) else 2
            default = {**message, "num_samples": asked if type(asked) is int and 0 <= asked <= 3 else 2}
            return default if self.prepares is None else self.prepares
        self.announced.append(message)
        if self.announces is not None:
            return self.announces
        return {**message, "num_samples": 2, "model_step": PEER_STEP, **TERMS}

    def begin(self, index: int, counts: tuple[int, int]) -> None:
        self.begun.append((index, counts))

    def exchange(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> PeerPrediction:
        self.exchanges.append((answerer, asked, answered))
        assert asked.inputs is not None
        assert asked.sample_ids is not None
        pixels_N = asked.inputs.flatten(1)[:, 0]
        logits_NC = torch.stack([pixels_N, -pixels_N], dim=1)
        damage = self.damage.pop(0) if self.damage else {}
        for position, sample_id in enumerate(asked.sample_ids.tolist()):
            logits_NC[position, 1] = damage.get(sample_id, float(logits_NC[position, 1]))
        return PeerPrediction(
            query_id=asked.query_id,
            sample_ids=asked.sample_ids,
            logits_NC=logits_NC,
            model_step=asked.model_step,
            scheme="fake",
            cost=Cost(rounds=1),
        )


class Asker:
    """Asks the peer about the samples that are next, at most `limit` at a time."""

    def __init__(self, peer: SecurePeer, images: Samples, limit: int | None) -> None:
        self.peer = peer
        self._images = images
        nothing = images.select(torch.empty(0, dtype=torch.int64))
        self._plan = QueryPlan(images, nothing, nothing, 0.1, seed=0)
        self._limit = limit

    def agree(self) -> None:
        """On up to ten exchanges."""
        self.peer.agree(10, self._plan.count(None))

    def prepare(self) -> None:
        self.peer.prepare(self._plan.count(self._limit))

    def run(self, model: nn.Module, model_step: int) -> Answers:
        self.ask(model, model_step)
        return self.peer.answers()

    def ask(self, model: nn.Module, model_step: int) -> None:
        question = self._images.of_ids(self._plan.next(self._limit))
        self.peer.ask(question, AnsweringNetwork(model, model_step, "some network"))


def make_asker(
    scheme: Any,
    folder: Path,
    budget: DisclosureConfig | None = None,
    agrees: bool = True,
    largest: float = 1000.0,
    **config: Any,
) -> Asker:
    """Four samples whose only pixel is their own id, but for 1000, whose is `largest`.

    Where config does not say how many, all samples are asked about.
    """
    images = Samples(IDS.float().reshape(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64), IDS)
    images.inputs[IDS == 1000] = largest
    settings = ExchangeConfig(**{"num_queries": None, **config})
    num_queries = configured_queries(settings)
    peer = SecurePeer(
        scheme,
        settings,
        num_queries=num_queries,
        budget=QueryBudget(budget or DisclosureConfig(), folder / "disclosures.jsonl", run="first", peer=None),
        calibration=images,
    )
    asker = Asker(peer, images, None if num_queries is None else num_queries[scheme.session.rank])
    if agrees:
        asker.agree()
    return asker
