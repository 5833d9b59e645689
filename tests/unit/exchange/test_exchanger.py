from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from smule_crypten.config import BudgetConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import BudgetError, DataError, ProtocolError, UnshareableModelError
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.exchange.exchanger import Exchanger
from smule_crypten.exchange.planner import configured_queries
from smule_crypten.exchange_config import ExchangeConfig, QueriesConfig
from smule_crypten.models.calibration import calibrate, largest_value
from smule_crypten.models.translate import translate
from smule_crypten.mpc.meter import CostMeter
from smule_crypten.types import Cost, Disclosure, InferenceQuery, PeerPrediction

IDS = torch.tensor([40, 7, 1000, 3])
PEER_STEP = 12
BOUND = 2.0**15
MODEL = nn.Flatten()
PRECISION_BITS = 8


class FakeScheme:
    """A peer in memory: answers each image with (pixel, -pixel), and announces what the test wants.

    Where announces is None, the peer asks about two samples in step with this party, and about none of them again.
    It prepares for as many as it asks about, or for what prepares says.
    """

    def __init__(self, rank: int = 0, announces: Any = None, prepares: Any = None) -> None:
        self.session = SimpleNamespace(rank=rank, meter=CostMeter())
        self.prepares = prepares
        self.prepared: list[Any] = []
        self.wants: Any = False
        self.wished: list[Any] = []
        architecture = translate(MODEL, (1, 1, 1)).architecture
        self.architectures = (architecture, architecture)
        self.announces = announces
        self.announced: list[Any] = []
        self.begun: list[tuple[int, tuple[int, int]]] = []
        self.exchanges: list[tuple[nn.Module, InferenceQuery, InferenceQuery]] = []
        self.damage: list[dict[int, float]] = []
        """For each exchange, the logit to answer by sample id in place of the right one."""

    @property
    def largest_input(self) -> float:
        return largest_value(PRECISION_BITS)

    def calibrate(self, model: nn.Module, inputs_NCHW: torch.Tensor) -> float:
        return calibrate(translate(model, (1, 1, 1)), inputs_NCHW, PRECISION_BITS)

    def announce(self, message: Any) -> Any:
        self.session.meter.record(rounds=1, bytes_sent=10, bytes_received=10)
        if "wants" in message:
            self.wished.append(message)
            return {**message, "wants": self.wants} if isinstance(self.wants, bool) else self.wants
        if "prepared_query" in message:
            self.prepared.append(message)
            asked = self.announces.get("num_samples") if isinstance(self.announces, dict) else 2
            default = {**message, "num_samples": asked if type(asked) is int and 0 <= asked <= 3 else 2}
            return default if self.prepares is None else self.prepares
        self.announced.append(message)
        if self.announces is not None:
            return self.announces
        is_first = len(self.announced) % 2 == 1
        num_samples = 2 if is_first else 0
        return {**message, "num_samples": num_samples, "model_step": PEER_STEP, "logit_bound": BOUND}

    def begin(self, index: int, counts: tuple[int, int]) -> None:
        self.begun.append((index, counts))

    def exchange(self, model: nn.Module, asked: InferenceQuery, answered: InferenceQuery) -> PeerPrediction:
        self.exchanges.append((model, asked, answered))
        assert asked.inputs_NCHW is not None
        assert asked.sample_ids is not None
        pixels_N = asked.inputs_NCHW.flatten(1)[:, 0]
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


def make_exchanger(scheme: Any, folder: Path, budget: BudgetConfig | None = None, **config: Any) -> Exchanger:
    """Four samples whose only pixel is their own id."""
    images = LabelledImages(IDS.float().reshape(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64), IDS)
    settings = ExchangeConfig(**config)
    return Exchanger(
        scheme=scheme,
        config=settings,
        train=images,
        pool=images.select(torch.empty(0, dtype=torch.int64)),
        held_out=images.select(torch.empty(0, dtype=torch.int64)),
        num_queries=configured_queries(settings),
        num_classes=2,
        budget=QueryBudget(budget or BudgetConfig(), folder / "disclosures.jsonl", run="first", peer=None),
        seed=0,
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_queries_of_one_exchange(tmp_path: Path, rank: int) -> None:
    """Own and peer's query name the right owners, numbers of samples and model steps; inputs only in the own one."""
    scheme = FakeScheme(rank)
    exchanger = make_exchanger(scheme, tmp_path, num_queries=3)
    result = exchanger.run(MODEL, model_step=5)
    first, second = scheme.announced
    # Pixels reach 1000, the margin is 16, and the bound is rounded up to a power of two.
    assert first == {"query_id": 1, "num_samples": 3, "model_step": 5, "logit_bound": 2.0**14}
    assert second == {**first, "num_samples": 0}
    assert scheme.prepared == [{"prepared_query": 1, "num_samples": 3}]
    assert scheme.begun == [(2, (3, 2) if rank == 0 else (2, 3))]
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
    assert result.num_recomputed == 0
    # The preparation and two announcements of 20 bytes.
    assert (result.cost.rounds, result.cost.bytes_total) == (3, 60)


def test_what_was_prepared_is_what_is_asked(tmp_path: Path) -> None:
    """Preparing ahead begins the exchange once, and counts to its cost; a peer that then asks more is refused."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme, tmp_path, num_queries=3)
    exchanger.prepare()
    assert (scheme.begun, scheme.announced) == ([(2, (3, 2))], [])
    assert exchanger.run(MODEL, model_step=5).cost.rounds == 3
    assert scheme.begun == [(2, (3, 2))]
    other = FakeScheme(prepares={"prepared_query": 1, "num_samples": 1})
    with pytest.raises(ProtocolError, match="party b asks about another number of samples than it prepared"):
        make_exchanger(other, tmp_path / "other", num_queries=3).run(MODEL, model_step=5)
    assert other.exchanges == []


@pytest.mark.parametrize(
    ("prepares", "message"),
    [
        ({"prepared_query": 2, "num_samples": 1}, "does not prepare query 1"),
        ([], "does not prepare query 1"),
        ({"prepared_query": 1, "num_samples": -1}, "announced -1 samples"),
        ({"prepared_query": 1, "num_samples": 4}, "asks about 4 samples"),
    ],
)
def test_impossible_preparations_are_refused(tmp_path: Path, prepares: Any, message: str) -> None:
    """What the peer prepares sizes what is dealt: it is checked before that."""
    scheme = FakeScheme(prepares=prepares)
    with pytest.raises(ProtocolError, match=message):
        make_exchanger(scheme, tmp_path, num_queries=3).prepare()
    assert scheme.begun == []


def test_images_and_answers_belong_to_the_asked_ids(tmp_path: Path) -> None:
    """Ids are in no order; each must be asked with its own image, and its answer kept under the same id."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme, tmp_path)
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


def test_queries_are_numbered_and_do_not_repeat(tmp_path: Path) -> None:
    """Two exchanges of two cover all four samples; the query ids count up."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme, tmp_path, num_queries=2)
    results = [exchanger.run(MODEL, model_step) for model_step in (5, 6)]
    asked = torch.cat([result.prediction.sample_ids for result in results])
    assert sorted(asked.tolist()) == sorted(IDS.tolist())
    assert [result.prediction.query_id for result in results] == [1, 2]
    assert [message["model_step"] for message in scheme.announced] == [5, 5, 6, 6]


@pytest.mark.parametrize("logit", [BOUND * 1.01, -(2.0**47), float("nan"), float("inf"), float("-inf")])
def test_implausible_answers_are_asked_again(tmp_path: Path, logit: float) -> None:
    """One truncation that wrapped around would dominate the loss: exactly that sample is computed anew, once."""
    scheme = FakeScheme()
    scheme.damage = [{1000: logit}]
    exchanger = make_exchanger(scheme, tmp_path)
    result = exchanger.run(MODEL, model_step=5)
    assert result.num_recomputed == 1
    assert [message["num_samples"] for message in scheme.announced] == [4, 1]
    assert scheme.begun == [(2, (4, 2)), (3, (1, 0))]
    again = scheme.exchanges[1][1]
    assert again.sample_ids is not None
    assert again.sample_ids.tolist() == [1000]
    assert result.prediction.cost.rounds == 2
    found = exchanger.cache.lookup(IDS)
    assert found is not None
    assert torch.equal(found.logits_NC[:, 1], -IDS.float())


def test_answers_that_stay_implausible_end_the_run(tmp_path: Path) -> None:
    """A network that leaves the range on the other party's data gives no soft labels at all, rather than wrong ones."""
    scheme = FakeScheme()
    scheme.damage = [{1000: 2.0**40}, {1000: 2.0**40}]
    exchanger = make_exchanger(scheme, tmp_path)
    with pytest.raises(ProtocolError, match="party b answers with logits beyond its stated bound of 32768"):
        exchanger.run(MODEL, model_step=5)
    assert exchanger.cache.lookup(IDS) is None


def test_large_but_plausible_answers_are_kept(tmp_path: Path) -> None:
    """A confident network is not an error."""
    scheme = FakeScheme()
    scheme.damage = [{1000: BOUND}]
    assert make_exchanger(scheme, tmp_path).run(MODEL, model_step=5).num_recomputed == 0


def test_query_is_charged_before_it_is_answered(tmp_path: Path) -> None:
    """A query beyond the budget is refused before any computation; one within it stands in the ledger."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme, tmp_path, BudgetConfig(max_queries_total=3), num_queries=2)
    exchanger.run(MODEL, model_step=5)
    with pytest.raises(BudgetError, match=r"party b asks about 2 samples, budget\.max_queries_total=3 leaves 1"):
        exchanger.run(MODEL, model_step=6)
    assert len(scheme.exchanges) == 1
    assert len((tmp_path / "disclosures.jsonl").read_text().splitlines()) == 1


def test_values_beyond_the_range_are_refused(tmp_path: Path) -> None:
    """What does not fit fixed point would wrap around silently: inputs by sample, layers by name."""
    exchanger = make_exchanger(FakeScheme(), tmp_path)
    exchanger._candidates.images_NCHW[2] = float("inf")
    with pytest.raises(DataError, match="sample 1000 holds a value that is not finite"):
        exchanger.run(MODEL, model_step=5)
    exchanger._candidates.images_NCHW[2] = 2.0**27
    with pytest.raises(UnshareableModelError, match=r"layer .*lower scheme\.precision_bits"):
        exchanger.run(MODEL, model_step=5)


def test_state_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A resumed exchanger asks what the undisturbed one would have asked, and keeps the answers it had."""
    undisturbed, cut_off = (make_exchanger(FakeScheme(), tmp_path / name, num_queries=2) for name in "ab")
    first = undisturbed.run(MODEL, model_step=5)
    cut_off.run(MODEL, model_step=5)
    resumed = make_exchanger(FakeScheme(), tmp_path / "c", num_queries=2)
    resumed.load_state_dict(cut_off.state_dict())
    results = [exchanger.run(MODEL, model_step=6).prediction for exchanger in (undisturbed, resumed)]
    assert torch.equal(results[0].sample_ids, results[1].sample_ids)
    assert results[1].query_id == 2
    found = resumed.cache.lookup(first.prediction.sample_ids)
    assert found is not None
    assert torch.equal(found.logits_NC, first.prediction.logits_NC)


def test_age_follows_the_configuration(tmp_path: Path) -> None:
    """exchange.max_age reaches the cache: with 1, the first answers are gone after the second exchange."""
    exchanger = make_exchanger(FakeScheme(), tmp_path, num_queries=2, max_age=1)
    first = exchanger.run(MODEL, model_step=5).prediction.sample_ids
    assert exchanger.cache.lookup(first) is not None
    exchanger.run(MODEL, model_step=6)
    assert exchanger.cache.lookup(first) is None


def test_peer_may_ask_nothing(tmp_path: Path) -> None:
    """A peer that has nothing to ask still answers."""
    scheme = FakeScheme(announces={"query_id": 1, "num_samples": 0, "model_step": 0, "logit_bound": BOUND})
    assert make_exchanger(scheme, tmp_path).run(MODEL, model_step=5).disclosure.num_samples == 0


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
    "more samples than agreed": (
        {"query_id": 1, "num_samples": 4, "model_step": 1, "logit_bound": BOUND},
        "asks about 4 samples",
    ),
    "endless samples": (
        {"query_id": 1, "num_samples": 10**30, "model_step": 1, "logit_bound": BOUND},
        "samples, the agreed plan allows 3",
    ),
    "no step": ({"query_id": 1, "num_samples": 2}, "model step None"),
    "negative step": ({"query_id": 1, "num_samples": 2, "model_step": -1}, "model step -1"),
    "step is a text": ({"query_id": 1, "num_samples": 2, "model_step": "x"}, "model step 'x'"),
    "no bound": ({"query_id": 1, "num_samples": 2, "model_step": 1}, "announced None as bound"),
    "endless bound": (
        {"query_id": 1, "num_samples": 2, "model_step": 1, "logit_bound": float("inf")},
        "announced inf as bound",
    ),
}


@pytest.mark.parametrize(("announcement", "message"), ANNOUNCEMENTS.values(), ids=ANNOUNCEMENTS)
def test_impossible_announcements_are_refused(tmp_path: Path, announcement: object, message: str) -> None:
    """What the peer announces sizes this party's work: it is checked before anything is evaluated."""
    scheme = FakeScheme(announces=announcement)
    exchanger = make_exchanger(scheme, tmp_path, num_queries=3)
    with pytest.raises(ProtocolError, match=message) as caught:
        exchanger.run(MODEL, model_step=5)
    assert "party b" in str(caught.value)
    assert scheme.exchanges == []
    assert exchanger.cache.lookup(IDS) is None


def test_a_spot_check_compares_answers(tmp_path: Path) -> None:
    """A wrong but plausible answer is found when asked again, and named; without a check it is kept."""
    scheme = FakeScheme()
    scheme.damage = [{1000: 5.0}]
    exchanger = make_exchanger(scheme, tmp_path, spot_checks=4)
    with pytest.raises(
        ProtocolError, match="spot check of exchange 1: 1 of 4 answers of party b differ when asked again"
    ):
        exchanger.run(MODEL, model_step=5)
    assert [message["num_samples"] for message in scheme.announced] == [4, 4]
    assert exchanger.cache.lookup(IDS) is None
    unchecked = FakeScheme()
    unchecked.damage = [{1000: 5.0}]
    assert make_exchanger(unchecked, tmp_path / "b").run(MODEL, model_step=5).num_recomputed == 0


def test_a_passed_spot_check_costs_queries_and_changes_nothing(tmp_path: Path) -> None:
    """What the peer may ask again is charged to it beforehand: nothing proves that it asks about the same samples."""
    result = make_exchanger(FakeScheme(), tmp_path, spot_checks=1).run(MODEL, model_step=5)
    assert result.num_recomputed == 0
    assert result.disclosure.num_samples == 3
    assert result.prediction.cost.rounds == 2


@pytest.mark.parametrize(("rank", "share_a"), [(0, 0.0), (1, 1.0)])
def test_a_party_without_a_share_only_answers(tmp_path: Path, rank: int, share_a: float) -> None:
    """It asks nothing, keeps nothing, and its network answers all that the plan gives the other one."""
    scheme = FakeScheme(rank)
    exchanger = make_exchanger(scheme, tmp_path, num_queries=1, share_a=share_a)
    result = exchanger.run(MODEL, model_step=5)
    assert (len(result.prediction.sample_ids), result.disclosure.num_samples) == (0, 2)
    assert scheme.begun == [(2, (0, 2) if rank == 0 else (2, 0))]
    assert exchanger.cache.lookup(IDS) is None


def test_the_peer_is_held_to_its_own_share(tmp_path: Path) -> None:
    """What this party may ask is no measure for the other one."""
    exchanger = make_exchanger(FakeScheme(), tmp_path, num_queries=2, share_a=0.75)
    with pytest.raises(ProtocolError, match="party b asks about 2 samples, the agreed plan allows 1"):
        exchanger.run(MODEL, model_step=5)


def test_views_are_asked_about_and_kept_with_their_answers(tmp_path: Path) -> None:
    """The answer to a view is that of its own pixel, never found by the id of its sample; and it can be asked again."""
    scheme = FakeScheme()
    exchanger = make_exchanger(
        scheme, tmp_path, num_queries=4, queries=QueriesConfig(view="mixup", known_fraction=0.25)
    )
    result = exchanger.run(MODEL, model_step=5)
    [(_, asked, _)] = scheme.exchanges
    assert asked.inputs_NCHW is not None
    kept = exchanger.replay.answered()
    assert kept is not None
    assert torch.equal(kept.images_MCHW, asked.inputs_NCHW[1:])
    assert torch.equal(kept.images_MCHW, result.views_NCHW)
    assert torch.equal(kept.logits_MC[:, 0], kept.images_MCHW.flatten())
    assert kept.model_step_M.tolist() == [PEER_STEP] * 3
    assert not any(bool((pixel == IDS).any()) for pixel in kept.images_MCHW.flatten())
    found = exchanger.cache.lookup(IDS)
    assert found is not None
    assert IDS[found.positions].tolist() == result.prediction.sample_ids[:1].tolist()


def test_views_go_on_where_they_stopped(tmp_path: Path) -> None:
    """The same views of the same samples as without an interruption, beside those that are kept."""
    config: dict[str, Any] = {"num_queries": 3, "queries": QueriesConfig(view="noise")}
    undisturbed, cut_off = (make_exchanger(FakeScheme(), tmp_path / name, **config) for name in "ab")
    undisturbed.run(MODEL, model_step=5)
    cut_off.run(MODEL, model_step=5)
    resumed = make_exchanger(FakeScheme(), tmp_path / "c", **config)
    resumed.load_state_dict(cut_off.state_dict())
    undisturbed.run(MODEL, model_step=6)
    resumed.run(MODEL, model_step=6)
    first, second = undisturbed.replay.answered(), resumed.replay.answered()
    assert first is not None
    assert second is not None
    assert torch.equal(first.images_MCHW, second.images_MCHW)
    assert torch.equal(first.logits_MC, second.logits_MC)
    assert len(first.images_MCHW) == 6


def test_views_have_to_fit_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view is checked like a sample, before anything is asked."""
    monkeypatch.setattr(FakeScheme, "largest_input", 500.0)
    scheme = FakeScheme()
    queries = QueriesConfig(view="mixup", known_fraction=0.0)
    with pytest.raises(DataError, match="sample 1000 holds a value that is not finite or beyond 500"):
        make_exchanger(scheme, tmp_path, num_queries=4, queries=queries).run(MODEL, model_step=5)
    assert scheme.exchanges == []


def test_a_skipped_exchange_costs_one_message(tmp_path: Path) -> None:
    """Nothing is prepared, dealt or numbered; the next one that takes place is the first."""
    scheme = FakeScheme()
    exchanger = make_exchanger(scheme, tmp_path, num_queries=3)
    cost = exchanger.skip(False)
    assert cost == Cost(rounds=1, bytes_sent=10, bytes_received=10)
    assert scheme.wished == [{"next_query": 1, "wants": False}]
    assert (scheme.prepared, scheme.begun, scheme.announced) == ([], [], [])
    result = exchanger.run(MODEL, model_step=5)
    assert result.prediction.query_id == 1
    assert result.cost.rounds == 3


@pytest.mark.parametrize(("own", "peer"), [(True, False), (False, True), (True, True)])
def test_an_exchange_that_one_party_wants_takes_place(tmp_path: Path, own: bool, peer: bool) -> None:
    """And pays for the message that said so."""
    scheme = FakeScheme()
    scheme.wants = peer
    exchanger = make_exchanger(scheme, tmp_path, num_queries=3)
    for number in (1, 2):
        assert exchanger.skip(own) is None
        assert exchanger.run(MODEL, model_step=5).cost.rounds == 4
        assert scheme.wished[-1] == {"next_query": number, "wants": own}


@pytest.mark.parametrize(
    "message", [[], {"wants": True}, {"next_query": 2, "wants": True}, {"next_query": 1, "wants": 1}]
)
def test_impossible_wishes_are_refused(tmp_path: Path, message: Any) -> None:
    """A party at another exchange, or one that says neither yes nor no, ends the run."""
    scheme = FakeScheme()
    scheme.wants = message
    with pytest.raises(ProtocolError, match=r"party b says .* of query 1; restart both"):
        make_exchanger(scheme, tmp_path).skip(True)
