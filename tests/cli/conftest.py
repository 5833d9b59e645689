"""A small problem as a file, and one run of `smule` on it that several tests look at."""

from __future__ import annotations

import pytest
from npz_files import save_npz
from smule_command import MainRun, run

from smule_crypten.transport.meeting import ENVIRONMENT_KEYS


@pytest.fixture(autouse=True)
def _no_party_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ENVIRONMENT_KEYS:
        monkeypatch.delenv(key, raising=False)


@pytest.fixture(scope="session")
def problem(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of a small run with a dealer, which sets up fastest: two different networks, two classes missing at
    each, exchanges in epochs 2 and 3."""
    path = save_npz(tmp_path_factory.mktemp("data") / "problem.npz")
    return [
        "data=npz",
        f"data.path={path}",
        "partition=by_class",
        "partition.classes_a=[0,1]",
        "party_a/model=mlp",
        "party_b/model=lenet",
        "training.epochs=3",
        "training.batch_size=16",
        "exchange.num_queries=12",
        "exchange.every=1",
        "exchange.warmup_epochs=1",
        "scheme=lean",
        "scheme.micro_batch=8",
    ]


@pytest.fixture(scope="session")
def main_run(problem: list[str], tmp_path_factory: pytest.TempPathFactory) -> MainRun:
    """`smule` on the problem, started in a folder of its own with a relative run folder."""
    cwd = tmp_path_factory.mktemp("elsewhere")
    return MainRun(cwd / "runs" / "main", run(*problem, "hydra.run.dir=runs/main", cwd=cwd))
