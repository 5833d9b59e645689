"""A loader of the user's own, which every process of a simulation calls: all of them must get the same samples."""

from __future__ import annotations

from pathlib import Path

import pytest
from smule_command import InAShell, call

SMALL = [
    "data=target",
    "party_a/model=mlp",
    "party_b/model=mlp",
    "training.epochs=2",
    "training.batch_size=16",
    "training.standalone=false",
    "simulation.controls=[]",
    "simulation.pooled=false",
    "exchange.num_queries=4",
]


def named(loader: str) -> list[str]:
    return [*SMALL, f"data.options._target_=user_data.{loader}"]


def test_an_unseeded_loader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Training images of one process would be test images of the other; cause and remedy are named."""
    assert call(monkeypatch, *named("unseeded"), f"hydra.run.dir={tmp_path}") == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert "user_data.unseeded gives each process other samples" in line
    assert "seed your loader" in line


def test_a_seeded_loader_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same digest in every process."""
    assert call(monkeypatch, *named("seeded"), f"hydra.run.dir={tmp_path}") == 0


@pytest.mark.parametrize(("loader", "code"), [("seeded", 0), ("unseeded", 3)])
def test_without_a_parent_the_parties_compare(tmp_path: Path, loader: str, code: int) -> None:
    """In two shells nobody else has loaded the data."""
    shared = {"SMULE_RENDEZVOUS": f"file://{tmp_path}/rendezvous"}
    overrides = [*named(loader), "hydra.run.dir=run"]
    roles = [InAShell(overrides, tmp_path, environment={**shared, "SMULE_ROLE": role}) for role in ("a", "b")]
    ended = [role.end() for role in roles]
    assert [party.exit_code for party in ended] == [code, code], ended
    assert all(("seed your loader" in party.errors) == bool(code) for party in ended)
