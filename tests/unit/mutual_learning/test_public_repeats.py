"""What an exchange of public questions that is attempted again gives away: nothing that is not charged and noisy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from learners import network, samples

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.streams import Stream
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.mutual_learning.public_link import PublicSecrets, SessionLink
from smule_crypten.mutual_learning.public_questions import PublicPeer
from smule_crypten.mutual_learning.schedule import PublicPlan, PublicSchedule
from smule_crypten.transport.meter import CostMeter
from smule_crypten.types import Disclosure

OWN, FIRST, SECOND, NOISE = (bytes([number]) * 32 for number in (1, 2, 4, 3))
GIVEN = Disclosure(query_id=1, to_party="b", num_samples=3, model_step=6)


def link_of(path: Path, *theirs: bytes) -> SessionLink:
    """Of a party whose peer contributes theirs, one after the other."""
    said = iter(theirs)
    scheme: Any = SimpleNamespace(
        session=SimpleNamespace(rank=0, meter=CostMeter(), common_key=lambda both, purpose: b"".join(both)),
        announce=lambda message: {**message, "contribution": next(said).hex()},
    )
    budget = QueryBudget(DisclosureConfig(max_answers_total=60), path, run="first", peer=None)
    budget.plan("b", [5, 5], public=PublicPlan([3, 3]))
    return SessionLink(scheme, budget, PublicSecrets(contribution=OWN, noise=NOISE, stream=Stream), sigma=0.5)


def test_no_two_different_answers_bear_the_same_noise(tmp_path: Path) -> None:
    """Else their difference shows logits without any: of two samples, where a peer contributes otherwise after a cut,
    or of two networks."""
    link = link_of(tmp_path / "ledger")
    first_NC, second_NC = torch.zeros(4000, 3), torch.ones(4000, 3)
    noises = [link.conceal(logits_NC, 1) - logits_NC for logits_NC in (first_NC, second_NC)]
    assert abs(float(torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))[0, 1])) < 0.05
    assert torch.equal(link.conceal(first_NC, 1), link.conceal(first_NC, 1))


def test_a_peer_that_goes_back_to_its_first_contribution_pays(tmp_path: Path) -> None:
    """It leaves before it asks, gets answers by another order, leaves again, and asks by the first order: those answers
    were never given, so they are charged."""
    path = tmp_path / "ledger"
    before = link_of(path, FIRST)
    before.agree(1)
    state = before.state_dict()
    for theirs in (SECOND, FIRST):
        again = link_of(path, theirs)
        again.load_state_dict(state)
        again.agree(1)
        again._budget.charge(Disclosure(query_id=1, to_party="b", num_samples=5, model_step=6))
        again.charge(GIVEN, network(1))
    assert [entry.num_samples for entry in read_ledger(path) if entry.kind == "public"] == [3, 3]


def test_the_order_stays_through_a_run(tmp_path: Path) -> None:
    """A peer that contributes otherwise in a later exchange would ask about the same samples again."""
    link = link_of(tmp_path / "ledger", FIRST, SECOND)
    link.agree(1)
    with pytest.raises(ProtocolError, match="restart both"):
        link.agree(2)


def test_the_order_is_agreed_on_before_work_ahead_begins() -> None:
    """Any JSON waits until all work ahead is done; it is to be done while the parties train."""
    heard: list[str] = []
    link: Any = SimpleNamespace(agree=lambda exchange: heard.append("order") or b"both")
    peer: Any = SimpleNamespace(next_number=1, prepare=lambda num_samples: heard.append("secure"))
    pool = samples(10, 1 << 40, seed=3).without_labels()
    PublicPeer(peer, link, pool, PublicSchedule(pool_size=10, counts=(4, 3)), 0, "differences").prepare(0)
    assert heard == ["order", "secure"]
