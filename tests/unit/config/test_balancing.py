"""Who learns as if all classes were equally frequent where nobody said so."""

from __future__ import annotations

import pytest
from party_configs import party

from smule_crypten.launch.library import configure

SKEWED = {
    "the main job": ([], True),
    "whole classes": (["partition=by_class"], True),
    "the same classes": (["partition=iid"], False),
    "other sizes": (["partition=unequal"], False),
    "weights do it": (["training.class_weights=balanced"], False),
    "private": (["+experiment=private"], False),
    "numbers": (["data=diabetes", "task=regression", "partition=iid"], False),
    "said no": (["training.balanced_softmax=false"], False),
    "said yes": (["partition=iid", "training.balanced_softmax=true"], True),
}


@pytest.mark.parametrize(("overrides", "expected"), SKEWED.values(), ids=SKEWED)
def test_a_simulation_balances_what_it_skews(overrides: list[str], expected: bool) -> None:
    """On by the split alone, never beside another remedy, and what was said stands. Both parties are told the same."""
    config = configure(*overrides)
    assert [config.party(rank, "runs/x").training.is_balanced for rank in (0, 1)] == [expected] * 2


def test_another_split_is_decided_anew() -> None:
    """A comparison that changes the split of a configuration does not take over what was right for the old one."""
    config = configure()
    other = type(config)(**config.model_dump() | {"partition": {"name": "iid"}})
    assert (config.decided_training.is_balanced, other.decided_training.is_balanced) == (True, False)


def test_between_hosts_nobody_guesses() -> None:
    """Without a simulated split nobody knows how frequent classes will be where the network is used."""
    assert party().training.is_balanced is False
