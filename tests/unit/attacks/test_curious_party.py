"""What an honest-but-curious party learns from answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smule_crypten.attacks.extraction import Selection, extract, fidelity
from smule_crypten.attacks.membership import membership_risk, scores
from smule_crypten.data.samples import Samples


def surrogate() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))


@pytest.mark.parametrize("selection", ["random", "noise", "mixed", "uncertain"])
def test_extraction(stripes: Samples, reader: nn.Module, selection: Selection) -> None:
    """A linear network is imitated from 200 answers, whatever is asked; no more than that many are used."""
    asked = []

    def answer(inputs_NX: torch.Tensor) -> torch.Tensor:
        asked.append(len(inputs_NX))
        with torch.no_grad():
            logits_NC: torch.Tensor = reader(inputs_NX)
        return logits_NC

    stolen = extract(answer, stripes.inputs, surrogate, 200, selection, steps=150, seed=0)
    assert sum(asked) == 200
    others = stripes.inputs.flip(0) + 0.05
    with torch.no_grad():
        assert fidelity(stolen, reader, others) > 0.9
        assert fidelity(surrogate(), reader, others) < 0.6


def test_scores_follow_the_loss() -> None:
    """A sample that the network fits scores higher; the own network's loss takes out what is easy for everybody."""
    peer = torch.tensor([[4.0, 0.0], [0.0, 0.0], [4.0, 0.0]])
    own = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 0.0]])
    labels_N = torch.zeros(3, dtype=torch.int64)
    plain, calibrated = scores(peer, labels_N, None), scores(peer, labels_N, own)
    assert plain.argsort().tolist()[0] == 1
    assert plain[0] == plain[2]
    assert calibrated.argsort().tolist() == [0, 2, 1]


def test_membership_risk_at_its_extremes() -> None:
    """Told apart: 1 and 1. The same scores: 1/2 and nothing recognized. One loud outsider costs the low threshold."""
    risk = membership_risk(torch.ones(50), torch.zeros(50))
    assert (risk.auc, risk.true_positives) == (1.0, 1.0)
    same = torch.linspace(0, 1, 100)
    assert membership_risk(same, same).auc == pytest.approx(0.5)
    assert membership_risk(torch.zeros(50), torch.zeros(50)).true_positives == 0.0
    loud = membership_risk(torch.ones(50), torch.tensor([0.0] * 49 + [2.0]))
    assert (loud.auc, loud.true_positives) == (0.98, 0.0)
