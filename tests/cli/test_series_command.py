"""Series and a table of labels from the command line, and the trained network for use elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from smule_command import call, run

from smule_crypten.training.checkpoint import load_model

SMALL = [
    "party_a/model=mlp",
    "party_b/model=mlp",
    "partition=iid",
    "training.epochs=2",
    "training.batch_size=8",
    "training.standalone=false",
    "simulation.controls=[]",
    "simulation.pooled=false",
    "exchange.num_queries=4",
]
EXPORT = (str(Path(sys.executable).with_name("smule-export")),)


def series(seed: int) -> str:
    """40 waves of two kinds and 3 channels as the text of a .ts file, of 12 or 13 steps."""
    generator = np.random.default_rng(seed)
    lines = ["@univariate false", "@dimensions 3", "@equalLength false", "@classLabel true slow fast", "@data"]
    for number in range(40):
        steps = np.arange(12 + number % 2)
        wave = np.sin((1 + number % 2) * steps / 2 + generator.normal(size=(3, 1)))
        channels = [",".join(f"{value:.4f}" for value in channel) for channel in wave]
        lines.append(":".join([*channels, ("slow", "fast")[number % 2]]))
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "Waves"
    folder.mkdir()
    for seed, split in enumerate(("TRAIN", "TEST")):
        (folder / f"Waves_{split}.ts").write_text(series(seed))
    return folder


def test_a_run_on_series_and_its_network(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that exports finds the samples of the run by itself, and refuses to write twice."""
    data = ["data=series", f"data.path={folder}", "data.options.length=14", "data.mean=[0,0,0]", "data.std=[0.7]"]
    assert call(monkeypatch, *SMALL, *data, f"hydra.run.dir={tmp_path / 'run'}") == 0
    exported = run("run/party_a/model.pt", "--format", "torchscript", cwd=tmp_path, program=EXPORT)
    assert exported.exit_code == 0, exported.errors
    assert "wrote run/party_a/model.torchscript" in exported.output
    assert "on 40 own test samples" in exported.output
    again = run("run/party_a/model.pt", "--format", "torchscript", cwd=tmp_path, program=EXPORT)
    assert again.exit_code == 5
    assert again.errors.count("\n") == 1


def test_a_run_on_images_with_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes from a column, in place of those of folders."""
    lines = ["file,kind"]
    generator = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 10)):
        (tmp_path / "data" / split).mkdir(parents=True)
        for number in range(count):
            grey = generator.integers(0, 100, (4, 4), dtype=np.uint8) + 100 * (number % 2)
            Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "data" / split / f"{number}.png")
            lines.append(f"{split}/{number}.png,{('dark', 'bright')[number % 2]}")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(lines))
    data = ["data=image_folder", f"data.path={tmp_path / 'data'}", "data.options.labels=labels.csv"]
    data += ["data.options.channels=1", "data.mean=[0.5]", "data.std=[0.5]"]
    assert call(monkeypatch, *SMALL, *data, f"hydra.run.dir={tmp_path / 'run'}") == 0
    assert load_model(tmp_path / "run" / "party_a" / "model.pt").class_names == ("bright", "dark")


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (["data.path=gone"], 3, "misses gone_TRAIN.ts, gone_TEST.ts"),
        ([], 3, "series have 12 to 13 time steps; set data.options.length=13"),
        (["data.options.length=12"], 3, "the longest series has 13 time steps"),
        (["data.options.length=13", "data.mean=[0,1]"], 2, "data.mean: 2 values for series with 3 channel(s)"),
        (["data.options.length=0"], 2, "data.options.length: Input should be greater than or equal to 1"),
        (["data.options.lenght=13"], 2, "unknown option (did you mean length?"),
        (["data.options.length=13", "data.options.class_names=[slow]"], 3, "label 'fast' of sample 1 is none of the 1"),
    ],
)
def test_bad_series(
    changes: list[str],
    code: int,
    text: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One line and an exit code, and no folder of a run."""
    data = ["data=series", f"data.path={folder}", *changes]
    assert call(monkeypatch, *SMALL, *data, f"hydra.run.dir={tmp_path / 'run'}") == code
    (line,) = capfd.readouterr().err.splitlines()
    assert text in line
    assert not (tmp_path / "run").exists()
