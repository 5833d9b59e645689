"""`smule` on a folder of images that is read as it is needed, by processes that read ahead; and the memory it takes.

The folder of the slow test would be 12 GB as float32, under a limit of 2 GB for all that a process may allocate.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from smule_command import run_here

SMALL = (
    "data=image_folder",
    "data.path=photographs",
    "data.mean=[0.4]",
    "data.std=[0.2]",
    "partition=iid",
    "training.epochs=2",
    "training.batch_size=8",
    "exchange.num_queries=8",
    "exchange.every=1",
    "exchange.warmup_epochs=1",
    "randomness=seeded_insecure",
    "allow_insecure=true",
    "simulation.controls=[]",
    "simulation.pooled=false",
)


def write_colours(root: Path, num_train: int, num_test: int, size: int = 8) -> None:
    """Two classes by colour; every file another one."""
    for split, count in (("train", num_train), ("test", num_test)):
        for label in range(2):
            (root / split / f"class{label}").mkdir(parents=True)
        for number in range(count):
            colour = (number % 200, 200 * (number % 2), number // 200 % 200)
            image = Image.new("RGB", (size, size), colour)
            image.save(root / split / f"class{number % 2}" / f"{number:06d}.png")


def test_a_run_reads_as_needed(tmp_path: Path) -> None:
    """Three processes, of which each party starts a reader of its own; their secure answers are those of the plaintext.

    That networks are the same as with all in memory, tests/unit/simulation/test_lazy_in_process.py shows.
    """
    write_colours(tmp_path / "photographs", 60, 20)
    ended = run_here(*SMALL, "data.in_memory=false", "data.workers=1", "hydra.run.dir=run", cwd=tmp_path)
    assert (ended.exit_code, ended.errors) == (0, "")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert "inputs are read as they are needed" in " ".join(summary["data_notes"])
    assert summary["fidelity"]["max_abs_logit_error"] < 0.5


MEASURED = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import PartyConfig
from smule_crypten.party.inputs import build_party_model, load_party_inputs
from smule_crypten.training.trainer import Trainer

if __name__ == "__main__":
    path, in_memory, workers = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    started = time.monotonic()
    data = {"name": "image_folder", "path": path, "in_memory": in_memory, "workers": workers}
    data["options"] = {"image_size": [224, 224]}
    training = {"epochs": 1, "steps_per_epoch": 12, "batch_size": 32}
    config = parse(PartyConfig, {
        "role": "a", "terms": "none", "output_dir": "out", "data": data, "training": training,
        "model": {"name": "strided_convnet"}, "scheme": {}, "provider": {}, "exchange": {},
    })
    inputs = load_party_inputs(config)
    digest = inputs.digest
    ready = time.monotonic() - started
    trainer = Trainer(model=build_party_model(inputs.config, inputs.bundle), train=inputs.train, config=config.training)
    trainer.run_epoch()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"samples": len(inputs.train), "ready": ready, "all": time.monotonic() - started, "mib": used}))
"""


@pytest.mark.slow
def test_twenty_thousand_images_of_224_pixels_in_two_gigabytes(tmp_path: Path) -> None:
    """Training starts within the share of a minute that a fiftieth of a million samples has, in bounded memory; the
    same limit is too little for all inputs at once, so that it does bind."""
    root = tmp_path / "photographs"
    write_colours(root, 20_000, 100, size=16)
    script = tmp_path / "measured.py"
    script.write_text(MEASURED)

    def measured(in_memory: str, workers: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), str(root), in_memory, str(workers)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)

    for workers in (0, 2):
        ended = measured("null", workers)
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout.splitlines()[-1])
        print(workers, found)
        assert found["samples"] == 18_000
        assert found["ready"] < 60
        assert found["mib"] < 1200
    ended = measured("true", 0)
    assert ended.returncode != 0
    assert "MemoryError" in ended.stderr or "not enough memory" in ended.stderr.lower()
