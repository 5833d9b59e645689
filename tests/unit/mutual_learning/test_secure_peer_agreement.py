from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from fake_scheme import MODEL, TERMS, FakeScheme, make_asker

from smule_crypten.errors import ProtocolError


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
        make_asker(scheme, tmp_path, num_queries=3).prepare()
    assert scheme.begun == []


def test_peer_may_ask_nothing(tmp_path: Path) -> None:
    """A peer that has nothing to ask still answers."""
    scheme = FakeScheme(announces={"query_id": 1, "num_samples": 0, "model_step": 0, **TERMS})
    assert make_asker(scheme, tmp_path).run(MODEL, model_step=5).disclosure.num_samples == 0


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
        {"query_id": 1, "num_samples": 4, "model_step": 1, **TERMS},
        "asks about 4 samples",
    ),
    "endless samples": (
        {"query_id": 1, "num_samples": 10**30, "model_step": 1, **TERMS},
        "samples, the agreed plan allows 3",
    ),
    "no step": ({"query_id": 1, "num_samples": 2}, "model step None"),
    "negative step": ({"query_id": 1, "num_samples": 2, "model_step": -1}, "model step -1"),
    "step is a text": ({"query_id": 1, "num_samples": 2, "model_step": "x"}, "model step 'x'"),
    **{
        f"{name} {key}": ({"query_id": 1, "num_samples": 2, "model_step": 1, **TERMS, key: value}, f"as {key} of its")
        for key in TERMS
        for name, value in {"no": None, "endless": math.inf, "negative": -1.0, "whole": 1, "worded": "1.0"}.items()
    },
    "any answer is possible": (
        {"query_id": 1, "num_samples": 2, "model_step": 1, **TERMS, "logit_bound": 1e30},
        r"announced 1e\+30 as logit_bound of its network, more than 4\.29",
    ),
    "any difference is noise": (
        {"query_id": 1, "num_samples": 2, "model_step": 1, **TERMS, "logit_noise": 1e30},
        r"announced 1e\+30 as logit_noise of its network, whose logits stay within \d+: no answer would say anything",
    ),
    "zero bound": ({"query_id": 1, "num_samples": 2, "model_step": 1, **TERMS, "logit_bound": 0.0}, "announced 0.0 as"),
}


@pytest.mark.parametrize(("announcement", "message"), ANNOUNCEMENTS.values(), ids=ANNOUNCEMENTS)
def test_impossible_announcements_are_refused(tmp_path: Path, announcement: object, message: str) -> None:
    """What the peer announces sizes this party's work: it is checked before anything is evaluated."""
    scheme = FakeScheme(announces=announcement)
    asker = make_asker(scheme, tmp_path, num_queries=3)
    with pytest.raises(ProtocolError, match=message) as caught:
        asker.run(MODEL, model_step=5)
    assert "party b" in str(caught.value)
    assert scheme.exchanges == []


@pytest.mark.parametrize(("rank", "share_a"), [(0, 0.0), (1, 1.0)])
def test_a_party_without_a_share_only_answers(tmp_path: Path, rank: int, share_a: float) -> None:
    """It asks nothing, keeps nothing, and its network answers all that the plan gives the other one."""
    scheme = FakeScheme(rank)
    asker = make_asker(scheme, tmp_path, num_queries=1, share_a=share_a)
    result = asker.run(MODEL, model_step=5)
    assert (len(result.prediction.sample_ids), result.disclosure.num_samples) == (0, 2)
    assert scheme.begun == [(2, (0, 2) if rank == 0 else (2, 0))]


def test_the_peer_is_held_to_its_own_share(tmp_path: Path) -> None:
    """What this party may ask is no measure for the other one."""
    asker = make_asker(FakeScheme(), tmp_path, num_queries=2, share_a=0.75)
    with pytest.raises(ProtocolError, match="party b asks about 2 samples, the agreed plan allows 1"):
        asker.run(MODEL, model_step=5)


def test_without_a_limit_the_first_number_counts(tmp_path: Path) -> None:
    """With exchange.num_queries=null the peer says at the beginning how many samples it asks about, and is held to it,
    also when the run goes on after an interruption; the budget follows from it."""
    scheme = FakeScheme()
    scheme.most = 2
    asker = make_asker(scheme, tmp_path)
    assert asker.peer._budget.limit == (10 + 2) * 2
    asker.run(MODEL, model_step=5)
    state = asker.peer.state_dict()
    scheme.announces = {"query_id": 2, "num_samples": 3, "model_step": 1, **TERMS}
    with pytest.raises(ProtocolError, match="party b asks about 3 samples, the agreed plan allows 2"):
        asker.run(MODEL, model_step=6)
    resumed = make_asker(scheme, tmp_path, agrees=False)
    resumed.peer.load_state_dict(state)
    scheme.most = 3
    with pytest.raises(ProtocolError, match="party b asks about 3 samples, the agreed plan allows 2"):
        resumed.agree()


@pytest.mark.parametrize("most", [None, -1, True, "2"])
def test_impossible_numbers_are_refused_at_the_beginning(tmp_path: Path, most: Any) -> None:
    """They size what is dealt, and the budget."""
    scheme = FakeScheme()
    scheme.most = most
    with pytest.raises(ProtocolError, match=r"party b announced .* samples"):
        make_asker(scheme, tmp_path)
