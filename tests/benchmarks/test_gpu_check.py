"""What scripts/gpu-check says, as far as a machine without a GPU can tell."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


def answers(gpu_check: ModuleType, *logits: float) -> object:
    return gpu_check.Answers([torch.tensor([logits])], 0.5)


def test_without_a_gpu(
    gpu_check: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line, the code that the pages name, and no file."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main(["--output", str(tmp_path / "gpu.json")]) == 77
    assert capsys.readouterr().out == "no GPU is at hand: torch sees no CUDA device, and nothing was checked\n"
    assert not list(tmp_path.iterdir())
    for page in ("CONTRIBUTING.md", "benchmarks/README.md"):
        assert "77" in (Path(gpu_check.__file__).parents[1] / page).read_text()


@pytest.mark.parametrize(
    ("scheme", "other", "is_kept"),
    [
        ("lean", 1.0, True),
        ("two_party", 1.0 + 2e-7, False),
        ("crypten", 1.1, False),
        ("plaintext", 1.00005, True),
        ("plaintext", 1.001, False),
        ("plaintext", float("nan"), False),
    ],
)
def test_comparison(gpu_check: ModuleType, scheme: str, other: float, is_kept: bool) -> None:
    """Equal bits where they are promised, a tolerance where not, and nothing that is no number."""
    line = gpu_check.compared(scheme, answers(gpu_check, 1.0, -1.0), answers(gpu_check, other, -1.0))
    assert line.is_kept is is_kept


def test_trainings(gpu_check: ModuleType) -> None:
    """By the worst epoch; what is no number passes in none of them."""
    assert gpu_check.compared_trainings(([2.0, 1.0], 1.0), ([2.0, 1.01], 1.0)).is_kept
    assert not gpu_check.compared_trainings(([2.0, 1.0], 1.0), ([2.2, 1.0], 1.0)).is_kept
    for losses in ([float("nan"), 1.0], [2.0, float("nan")], [2.0, float("inf")], [2.0]):
        assert not gpu_check.compared_trainings(([2.0, 1.0], 1.0), (losses, 1.0)).is_kept


def test_what_fails_and_what_is_late(gpu_check: ModuleType) -> None:
    """Neither ends the script, and neither passes for done."""

    def fails() -> object:
        raise RuntimeError("CUDA error: out of memory\nmore")

    lines = gpu_check.run_all([("training", fails)], 60.0) + gpu_check.run_all([("late", fails)], 0.0)
    assert [line.is_kept for line in lines] == [False, False]
    assert lines[0].found == "RuntimeError: CUDA error: out of memory"
    assert "left out" in lines[1].found


@pytest.mark.slow
def test_the_cpu_beside_itself(gpu_check: ModuleType, tmp_path: Path) -> None:
    """The whole of it but the tests marked `gpu`: a training and an exchange by each scheme, all equal."""
    output = tmp_path / "gpu.json"
    assert gpu_check.main(["--device", "cpu", "--queries", "2", "--without-tests", "--output", str(output)]) == 0
    lines = json.loads(output.read_text())["lines"]
    assert [line["what"] for line in lines] == [
        "training, 2 epochs", *(f"exchange, {scheme}" for scheme in ("lean", "two_party", "crypten", "plaintext")),
    ]  # fmt: skip
    assert all(line["is_kept"] for line in lines)
