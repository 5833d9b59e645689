"""A run with networks that no other run has: a finished one, which only answers, and one with a head that nobody reads,
trained in batches that leave one sample over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from smule_command import call

from smule_crypten.training.checkpoint import load_checkpoint, load_model

OPTIONS = [
    "party_a/model=target",
    "party_a.model.options._target_=user_networks.finished",
    "party_b/model=target",
    "party_b.model.options._target_=user_networks.with_unused_head",
    "party_b.samples={labeled:34,unlabeled:0,validation:0.1}",
    "training.batch_size=2",
    "exchange.share_a=0",
    "exchange.num_queries=8",
    "simulation.pooled=false",
    "simulation.controls=[]",
]


@pytest.mark.parametrize("scheme", ["lean", "crypten"])
def test_a_run_of_odd_networks(
    scheme: str,
    problem: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The finished one is the same at the end, statistics included; the other one learns, with 15 steps an epoch."""
    folder = tmp_path / "run"
    assert call(monkeypatch, *problem, *OPTIONS, f"scheme={scheme}", f"hydra.run.dir={folder}") == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    assert "party a has a finished network" in captured.out
    summary = json.loads((folder / "summary.json").read_text())
    noise = max(party["budget"]["logit_noise"] for party in summary["parties"].values())
    assert summary["fidelity"]["max_abs_logit_error"] < 6 * noise + 1e-2
    alone, together = (load_checkpoint(folder / "party_a" / name) for name in ("standalone.pt", "model.pt"))
    assert (alone.model_step, together.model_step) == (0, 0)
    assert all(torch.equal(value, alone.state_dict[name]) for name, value in together.state_dict.items())
    assert torch.equal(together.state_dict["1.running_mean"], torch.zeros(4))
    assert load_checkpoint(folder / "party_b" / "model.pt").model_step in (15, 30, 45)
    assert load_model(folder / "party_b" / "model.pt", allow_target=True).predict(torch.zeros(1, 1, 8, 8)).shape == (1,)
