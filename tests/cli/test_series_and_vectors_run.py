"""Whole runs on samples that are no images: the network follows from their shape, and what needs images is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from smule_command import call

from smule_crypten.report.summary import read_summary
from smule_crypten.training.checkpoint import load_model

SMALL = [
    "data=target",
    "partition=iid",
    "training.epochs=3",
    "training.batch_size=16",
    "training.standalone=false",
    "exchange.warmup_epochs=1",
    "exchange.every=1",
    "exchange.num_queries=8",
    "simulation.controls=[]",
    "simulation.pooled=false",
]


@pytest.mark.parametrize(
    ("loader", "shape", "network", "scheme"),
    [("vectors", (9,), "mlp", "lean"), ("series", (2, 16), "convnet1d", "crypten")],
)
def test_a_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: str, shape: tuple[int, ...], network: str, scheme: str
) -> None:
    """Without a word about networks: both parties learn two easy classes, and the checkpoint names the network."""
    data = f"data.options._target_=user_data.{loader}"
    assert call(monkeypatch, *SMALL, data, f"scheme={scheme}", f"hydra.run.dir={tmp_path}") == 0
    summary = read_summary(tmp_path)
    for name in "ab":
        party = summary.parties[name]
        assert party.architecture == network
        assert party.test_accuracy > 0.9
        assert load_model(tmp_path / f"party_{name}" / "model.pt").input_shape == shape
    assert summary.fidelity is not None
    assert summary.fidelity.max_abs_logit_error < 0.5


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("training.augmentation.flip=true", 2, "training.augmentation: crop and flip are for images"),
        ("attack=backdoor", 2, "attack: triggers are for images"),
        ("party_a/model=lenet", 4, "choose mlp, auto or target"),
    ],
)
def test_what_needs_images_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    override: str,
    code: int,
    message: str,
) -> None:
    """In one line, before a process is started."""
    data = "data.options._target_=user_data.vectors"
    assert call(monkeypatch, *SMALL, data, override, f"hydra.run.dir={tmp_path}") == code
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
