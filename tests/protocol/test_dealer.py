"""The dealer as a process of its own: what it deals, what it refuses, and keys that are never used twice."""

from __future__ import annotations

import pytest
import torch
from dealer_steps import asked_and_planned, keys_of_exchanges, speak_to_dealer
from torch import nn

from smule_crypten.config.sections import ModelConfig, Randomness, SchemeConfig
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import NETWORKS, build_model
from smule_crypten.testing import PartyPool

ENTROPY = "00" * 32


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "torchvision"])
def test_plan_is_what_crypten_asks_for(pool: PartyPool, name: str) -> None:
    """Protects: kind, size, options and order of every request of each network, at both parties."""
    shape = (1, 8) if name == "convnet1d" else (1, 8, 8)
    model = build_model(ModelConfig(name=name), shape, 10, seed=0).eval()
    for asked, planned in pool.run(asked_and_planned, model, torch.zeros(1, *shape)):
        assert asked == planned
        assert len(planned) > 2


def test_plan_of_max_pooling_is_what_crypten_asks_for(pool: PartyPool) -> None:
    """Protects: the tree over windows of odd size, overlapping, padded and in ceil mode."""
    model = nn.Sequential(
        nn.MaxPool2d((3, 5), stride=2, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(4, 2)
    )
    for asked, planned in pool.run(asked_and_planned, model, torch.zeros(3, 1, 8, 8)):
        assert asked == planned


def _terms(**changes: object) -> dict[str, object]:
    architecture = translate(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2)).architecture.to_json()
    ordinary = {"architectures": [architecture] * 2, "scheme": _scheme(), "randomness": "fresh", "seed": 0}
    return ordinary | changes


def _scheme(**changes: object) -> dict[str, object]:
    return SchemeConfig(name="crypten", micro_batch=4).model_dump(mode="json") | changes


def _scripts(*messages: object) -> tuple[list[object], list[object]]:
    at_a, at_b = ([{"rank": rank, "terms": _terms()}, *messages] for rank in (0, 1))
    return at_a, at_b


def _announcement(**changes: object) -> dict[str, object]:
    return {"exchange": 1, "counts": [0, 0], "entropy": ENTROPY} | changes


def refusal(pool: PartyPool, *scripts: list[object], **settings: object) -> str:
    """How each of the three processes ended, as text."""
    with pytest.raises(RuntimeError) as failure:
        pool.run(speak_to_dealer, *scripts, dealt=True, **settings)
    return str(failure.value)


def assert_refused(ended: str, kind: str, message: str) -> None:
    """The dealer fails with this error, and both parties are told its message by the dealer."""
    assert f"smule_crypten.errors.{kind}: {message}" in ended
    told = "HandshakeError" if kind == "HandshakeError" else "PeerDeclinedError"
    assert ended.count(f"smule_crypten.errors.{told}: the dealer gave up: {message}") == 2


def test_refused_terms_reach_the_parties(pool: PartyPool) -> None:
    """Protects: both sides read what is wrong with their terms, not only that the dealer is gone."""
    different = [[{"rank": rank, "terms": _terms(scheme=_scheme(micro_batch=4 + rank))}] for rank in (0, 1)]
    ended = refusal(pool, *different)
    assert_refused(ended, "HandshakeError", "the parties stated different terms to the dealer; compare their config")
    called = [[{"rank": rank, "terms": _terms(function="exec")}] for rank in (0, 1)]
    ended = refusal(pool, *called)
    assert_refused(ended, "HandshakeError", "the parties stated unusable terms: function: unknown key")
    unknown = [[{"rank": rank, "terms": _terms(scheme=_scheme(name="later"))}] for rank in (0, 1)]
    ended = refusal(pool, *unknown)
    assert_refused(ended, "HandshakeError", "this dealer does not know the scheme 'later'; use the same version")


def test_refused_seeds_reach_the_parties(pool: PartyPool) -> None:
    """Protects: a dealer between hosts, which is not started for simulation, refuses repeatable randomness."""
    seeded = [[{"rank": rank, "terms": _terms(randomness="seeded_insecure")}] for rank in (0, 1)]
    ended = refusal(pool, *seeded, dealer_allows_insecure=False)
    assert_refused(ended, "HandshakeError", "the parties want randomness=seeded_insecure, which this dealer does not")


def test_refused_announcements_reach_the_parties(pool: PartyPool) -> None:
    """Protects: the same before an exchange: repeated, different, malformed, or with a name to call."""
    repeated = _scripts(_announcement(), _announcement())
    ended = refusal(pool, *repeated)
    assert_refused(ended, "ProtocolError", "exchange 1 was dealt before; nothing is dealt twice")
    at_a, at_b = _scripts(_announcement(counts=[1, 0]))[0], _scripts(_announcement())[1]
    ended = refusal(pool, at_a, at_b)
    assert_refused(ended, "ProtocolError", "party a announces exchange 1 with (1, 0) queries, party b exchange 1 with")
    called = _scripts(_announcement(function="generate_binary_triple"))
    ended = refusal(pool, *called)
    assert_refused(ended, "ProtocolError", "party a announced no usable exchange: function: unknown key")


def _keys(pool: PartyPool, randomness: Randomness = "fresh", seed: int = 0) -> list[list[dict[str, bytes]]]:
    return pool.run(keys_of_exchanges, 3, dealt=True, randomness=randomness, seed=seed)


def _all(*runs: list[list[dict[str, bytes]]]) -> list[bytes]:
    """Every key, those that both parties share counted once."""
    return [
        key
        for run in runs
        for rank, exchanges in enumerate(run)
        for keys in exchanges
        for name, key in keys.items()
        if (rank, name) != (1, "prev") and (rank, name) != (1, "next")
    ]


def test_no_key_is_used_twice(pool: PartyPool) -> None:
    """Protects: each exchange, direction, purpose, party and session has its own keys; equal ones repeat masks."""
    first, second = _keys(pool), _keys(pool)
    for at_a, at_b in zip(*first, strict=True):
        assert (at_a["next"], at_a["prev"]) == (at_b["prev"], at_b["next"])
    keys = _all(first, second)
    assert len(keys) == 2 * 3 * (5 + 3)
    assert len(set(keys)) == len(keys)


def test_seeded_keys_repeat_and_differ_by_seed(pool: PartyPool) -> None:
    """Protects: repeatable runs, in which still no two streams are equal."""
    first, again, other = (_keys(pool, "seeded_insecure", seed) for seed in (1, 1, 2))
    assert first == again
    keys = _all(first, other)
    assert len(set(keys)) == len(keys)
