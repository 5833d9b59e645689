from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from smule_crypten.config import ExchangeConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import ProtocolError
from smule_crypten.exchange.exchanger import IMPLAUSIBLE_LOGIT, Exchanger
from smule_crypten.types import Cost, Disclosure, InferenceQuery, PeerPrediction

IDS = torch.tensor([40, 7, 1000, 3])
PEER_STEP = 12


class FakeScheme:
    """A peer in memory: answers each image with (pixel, -pixel), and announces what the test wants.

    Where announces is None, the peer asks about two samples in step with this party.
    """

    def __init__(self, rank: int = 0, announces: Any = None) -> None:
        self.session = SimpleNamespace(rank=rank)
        self.announces = announces
        self.announced: list[Any] = []
        self.exchanges: list[tuple[nn.Module, InferenceQuery, InferenceQuery]] = []
        self.damage: dict[int, float] = {}
        """Logit to answer, by sample id, in place of the right one."""

    def announce(self, message: Any) -> Any:
        self.announced.append(message)
        if self.announces is not None:
            return self.announces
        return {"query_id": message["query_id"], "num_samples": 2, "model_step": PEER_STEP}

    def exchange(self, model: nn.Module, asked: InferenceQuery, answered: InferenceQuery) -> PeerPrediction:
        self.exchanges.append((model, asked, answered))
        assert asked.inputs_NCHW is not None
        assert asked.sample_ids is not None
        pixels_N = asked.inputs_NCHW.flatten(1)[:, 0]
        logits_NC = torch.stack([pixels_N, -pixels_N], dim=1)
        for position, sample_id in enumerate(asked.sample_ids.tolist()):
            logits_NC[position, 1] = self.damage.get(sample_id, float(logits_NC[position, 1]))
        return PeerPrediction(
            query_id=asked.query_id,
            sample_ids=asked.sample_ids,
            logits_NC=logits_NC,
            model_step=asked.model_step,
            scheme="fake",
            cost=Cost(),
        )


def make_exchanger(scheme: Any, **config: Any) -> Exchanger:
    """Four samples whose only pixel is their own id."""
    images = LabelledImages(IDS.float().reshape(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64), IDS)
    return Exchanger(scheme=scheme, config=ExchangeConfig(**config), train=images, num_classes=2, seed=0)


MODEL = nn.Identity()


@pytest.mark.parametrize("rank", [0, 1])
def test_queries_of_one_exchange(rank: int) -> None:
    """Own and peer's query name the right owners, numbers of samples and model steps; inputs only in the own one."""
    scheme = FakeScheme(rank)
    exchanger = make_exchanger(scheme, num_queries=3)
    result = exchanger.run(MODEL, model_step=5)
    assert scheme.announced == [{"query_id": 1, "num_samples": 3, "model_step": 5}]
    [(model, asked, answered)] = scheme.exchanges
    assert model is MODEL
    assert (asked.model_owner, asked.data_owner, asked.num_samples, asked.model_step) == (1 - rank, rank, 3, PEER_STEP)
    assert (answered.model_owner, answered.data_owner, answered.num_samples, answered.model_step) == (
        rank,
        1 - rank,
        2,
        5,
    )
    assert answered.inputs_NCHW is None
    assert answered.sample_ids is None
    assert result.disclosure == Disclosure(query_id=1, to_party="ba"[rank], num_samples=2, model_step=5)
    assert result.num_discarded == 0


def test_images_and_answers_belong_to_the_asked_ids() -> None:
    """Ids are in no order; each must be asked with its own image, and its answer kept under the same id."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme)
    exchanger.run(MODEL, model_step=5)
    [(_, asked, _)] = scheme.exchanges
    assert asked.sample_ids is not None
    assert asked.inputs_NCHW is not None
    assert sorted(asked.sample_ids.tolist()) == sorted(IDS.tolist())
    assert torch.equal(asked.inputs_NCHW.flatten(), asked.sample_ids.float())
    found = exchanger.cache.lookup(IDS)
    assert found is not None
    assert found.positions.tolist() == [0, 1, 2, 3]
    assert torch.equal(found.logits_NC[:, 0], IDS.float())
    assert found.model_step.tolist() == [PEER_STEP] * 4


def test_queries_are_numbered_and_do_not_repeat() -> None:
    """Two exchanges of two cover all four samples; the query ids count up."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme, num_queries=2)
    results = [exchanger.run(MODEL, model_step) for model_step in (5, 6)]
    asked = torch.cat([result.prediction.sample_ids for result in results])
    assert sorted(asked.tolist()) == sorted(IDS.tolist())
    assert [result.prediction.query_id for result in results] == [1, 2]
    assert [message["model_step"] for message in scheme.announced] == [5, 6]


@pytest.mark.parametrize(
    "logit", [IMPLAUSIBLE_LOGIT, -IMPLAUSIBLE_LOGIT, 2.0**47, float("nan"), float("inf"), float("-inf")]
)
def test_implausible_answers_are_discarded(logit: float) -> None:
    """One truncation that wrapped around would dominate the loss; only the damaged sample is dropped and counted."""
    scheme = FakeScheme()
    scheme.damage = {1000: logit}
    exchanger = make_exchanger(scheme)
    assert exchanger.run(MODEL, model_step=5).num_discarded == 1
    found = exchanger.cache.lookup(IDS)
    assert found is not None
    assert IDS[found.positions].tolist() == [40, 7, 3]


def test_large_but_plausible_answers_are_kept() -> None:
    """A confident network is not an error."""
    scheme = FakeScheme()
    scheme.damage = {1000: IMPLAUSIBLE_LOGIT * 0.99}
    exchanger = make_exchanger(scheme)
    assert exchanger.run(MODEL, model_step=5).num_discarded == 0


def test_age_follows_the_configuration() -> None:
    """exchange.max_age reaches the cache: with 1, the first answers are gone after the second exchange."""
    exchanger = make_exchanger(FakeScheme(), num_queries=2, max_age=1)
    first = exchanger.run(MODEL, model_step=5).prediction.sample_ids
    assert exchanger.cache.lookup(first) is not None
    exchanger.run(MODEL, model_step=6)
    assert exchanger.cache.lookup(first) is None


def test_peer_may_ask_nothing() -> None:
    """A peer that has nothing to ask still answers."""
    scheme = FakeScheme(announces={"query_id": 1, "num_samples": 0, "model_step": 0})
    assert make_exchanger(scheme).run(MODEL, model_step=5).disclosure.num_samples == 0


ANNOUNCEMENTS: dict[str, tuple[object, str]] = {
    "nothing": ("", "in place of a query"),
    "a list": ([1, 2, 3], "in place of a query"),
    "an empty object": ({}, "is at query None"),
    "earlier query": ({"query_id": 0, "num_samples": 2, "model_step": 1}, "is at query 0, this party at 1"),
    "later query": ({"query_id": 2, "num_samples": 2, "model_step": 1}, "is at query 2, this party at 1"),
    "no samples": ({"query_id": 1, "model_step": 1}, "announced None samples"),
    "negative samples": ({"query_id": 1, "num_samples": -1, "model_step": 1}, "announced -1 samples"),
    "fraction of a sample": ({"query_id": 1, "num_samples": 1.5, "model_step": 1}, "announced 1.5 samples"),
    "samples are a flag": ({"query_id": 1, "num_samples": True, "model_step": 1}, "announced True samples"),
    "samples are a text": ({"query_id": 1, "num_samples": "2", "model_step": 1}, "announced '2' samples"),
    "more samples than agreed": ({"query_id": 1, "num_samples": 4, "model_step": 1}, "asks about 4 samples"),
    "endless samples": (
        {"query_id": 1, "num_samples": 10**30, "model_step": 1},
        "samples, exchange.num_queries allows 3",
    ),
    "no step": ({"query_id": 1, "num_samples": 2}, "model step None"),
    "negative step": ({"query_id": 1, "num_samples": 2, "model_step": -1}, "model step -1"),
    "step is a text": ({"query_id": 1, "num_samples": 2, "model_step": "x"}, "model step 'x'"),
}


@pytest.mark.parametrize(("announcement", "message"), ANNOUNCEMENTS.values(), ids=ANNOUNCEMENTS)
def test_impossible_announcements_are_refused(announcement: object, message: str) -> None:
    """What the peer announces sizes this party's work: it is checked before anything is evaluated."""
    scheme = FakeScheme(announces=announcement)
    exchanger = make_exchanger(scheme, num_queries=3)
    with pytest.raises(ProtocolError, match=message) as caught:
        exchanger.run(MODEL, model_step=5)
    assert "party b" in str(caught.value)
    assert scheme.exchanges == []
    assert exchanger.cache.lookup(IDS) is None
