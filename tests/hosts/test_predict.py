"""Joint prediction and estimate between hosts, with the networks of a run before."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hosts_folders import PEER, Folders, read_lines, write_data
from hosts_network import ROLES, Network
from hosts_run import HostRun
from PIL import Image

import smule_crypten as smule
from smule_crypten.launch.estimate import main as estimate_main
from smule_crypten.launch.predict import main as predict_main
from smule_crypten.training.checkpoint import load_model

NUM_IMAGES, NUM_VALIDATION = 11, 60
BOTH = {"a": predict_main, "b": predict_main}


@pytest.fixture(scope="module")
def trained(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A finished run with enough samples at party a to fit weights, and new images there."""
    folders = Folders(tmp_path_factory.mktemp("trained"), network, exchange__num_queries=40)
    write_data(folders.folder("a") / "data.npz", num_train=10 * NUM_VALIDATION, seed=0)
    folders.change("a", disclosure__ledger="ledger.jsonl", samples__validation=0.1)
    folders.change("b", samples__validation=0.1)
    with HostRun(network, folders) as run:
        run.complete()
    with np.load(folders.folder("a") / "data.npz") as data:
        np.savez(folders.folder("a") / "images.npz", images=data["x_test"][:NUM_IMAGES])
    return folders


def ask(network: Network, folders: Folders, output: str) -> HostRun:
    """Party a asks about its images, party b only answers."""
    return HostRun(network, folders, BOTH, {"a": ["input=images.npz", f"output={output}"]})


def answered(folders: Folders, role: str) -> list[tuple[str, int]]:
    """Run and samples of each entry in a ledger."""
    path = folders.folder("a") / "ledger.jsonl" if role == "a" else folders.output("b") / "disclosures.jsonl"
    return [(entry["run"], entry["num_samples"]) for entry in read_lines(path)]


def test_one_asks_and_the_other_answers(network: Network, trained: Folders) -> None:
    """The file holds both networks' predictions and the fitted combination; the peer's ledger holds the queries."""
    before = {role: answered(trained, role) for role in PEER}
    with ask(network, trained, "predictions.npz") as run:
        run.complete()
        assert "combined" in run.processes["a"].log
        assert f"0 made, {NUM_IMAGES + NUM_VALIDATION} answered" in run.processes["b"].log
    folder = trained.folder("a")
    metadata = json.loads((folder / "predictions.json").read_text())
    assert (metadata["queries_made"], metadata["queries_answered"]) == (NUM_IMAGES + NUM_VALIDATION, 0)
    assert metadata["combination"]["num_known"] == metadata["validation"]["num_known"] == NUM_VALIDATION
    assert metadata["bytes_sent"] > 0
    assert metadata["dealer_bytes"] > 0
    check_predictions(trained, np.load(folder / "predictions.npz"), np.load(folder / "images.npz")["images"])
    new = answered(trained, "b")[len(before["b"]) :]
    assert [count for _, count in new] == [40, 31]
    assert len({run for run, _ in new}) == 1
    assert new[0][0] not in {run for run, _ in before["b"]}
    assert [count for _, count in answered(trained, "a")[len(before["a"]) :]] == [0, 0]


def predict_from_python() -> None:
    """As docs/library.md does, in place of the command."""
    record = smule.predict(sys.argv[1].removeprefix("+party="), "new", "table.csv")
    assert record.party == "a"


def estimate_from_python() -> None:
    """Likewise."""
    assert smule.estimate(sys.argv[1].removeprefix("+party=")).worth.num_known > 0


def test_a_folder_of_grey_images_and_a_table(network: Network, trained: Folders) -> None:
    """Radiographs lie about as files: read as grey for a network of one channel, and answered as a table."""
    folder = trained.folder("a")
    with np.load(folder / "data.npz") as data:
        images = data["x_test"][:3, 0].astype(np.uint16) * 257
    (folder / "new").mkdir()
    for name, pixels in zip(("c.png", "a.png", "b.tif"), images, strict=True):
        Image.fromarray(pixels).save(folder / "new" / name)
    (folder / "new" / "notes.txt").write_text("none")
    with HostRun(network, trained, {"a": predict_from_python, "b": predict_main}) as run:
        run.complete()
    metadata = json.loads((folder / "table.json").read_text())
    assert metadata["notes"] == ["1 files called *.txt, left out (notes.txt)"]
    with (folder / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["a.png", "b.tif", "c.png"]
    in_order = torch.from_numpy(images[[1, 2, 0]] / 65535).float()[:, None]
    own = load_model(trained.output("a") / "model.pt").predict(in_order)
    assert [row["class by own"] for row in rows] == [str(int(label)) for label in own]
    for row in rows:
        probabilities = [float(row[f"probability of {name}"]) for name in range(4)]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert row["predicted class"] == str(int(np.argmax(probabilities)))


def check_predictions(folders: Folders, found: Any, images: Any) -> None:
    """The probabilities are those of the two checkpoints, up to fixed point."""
    for name, role in (("own", "a"), ("peer", "b")):
        expected = load_model(folders.output(role) / "model.pt")(torch.from_numpy(images)).softmax(1).detach().numpy()
        np.testing.assert_allclose(found[f"{name}_probabilities"], expected, atol=0.05)
    for name in ("own", "peer", "combined"):
        probabilities = found[f"{name}_probabilities"]
        assert probabilities.shape == (NUM_IMAGES, 4)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
        assert found[f"{name}_class"].tolist() == probabilities.argmax(1).tolist()
    assert found["class_names"].tolist() == ["0", "1", "2", "3"]


def test_a_budget_refuses_before_anything_is_asked(network: Network, trained: Folders) -> None:
    """The total is checked over all parts of a question: nothing is disclosed, and no file appears."""
    before = answered(trained, "b")
    trained.change("b", disclosure={"max_answers_total": sum(count for _, count in before) + 50})
    with ask(network, trained, "refused.npz") as run:
        run.start()
        assert run.wait() == {"a": 14, "b": 11, "dealer": 14}, run.logs()
        assert "disclosure.max_answers_total" in run.processes["b"].error
    trained.change("b", disclosure={})
    assert answered(trained, "b") == before
    assert not list(trained.folder("a").glob("refused*"))


def test_the_other_side_trains(network: Network, trained: Folders) -> None:
    """Who meets smule-party says what to start there."""
    trained.change("b", output_dir="other")
    with HostRun(network, trained, {"a": predict_main}, {"a": ["input=images.npz", "output=never.npz"]}) as run:
        run.start()
        codes = run.wait()
        assert (codes["a"], codes["b"]) == (13, 13), run.logs()
        assert "start smule-predict" in run.processes["a"].error + run.processes["b"].error
    trained.change("b", output_dir="out")


def test_both_estimate(network: Network, trained: Folders) -> None:
    """Each learns what the other would bring and what a run would cost."""
    with HostRun(network, trained, {"a": estimate_main, "b": estimate_from_python}) as run:
        run.complete(*ROLES)
        assert "a whole run" in run.processes["a"].log
    for role, num_known in (("a", NUM_VALIDATION), ("b", 6)):
        found = json.loads((trained.output(role) / "estimate.json").read_text())
        worth = found["worth"]
        assert worth["num_known"] == num_known
        assert worth["interval"][0] <= worth["gain"] <= worth["interval"][1]
        assert found["run"]["num_exchanges"] == 3
        assert found["run"]["exchange_bytes"] > 0


def test_without_a_network(network: Network, tmp_path: Path) -> None:
    """Nobody is met where there is nothing to ask with; what protects nothing is refused as in smule-party."""
    folders = Folders(tmp_path, network)
    with HostRun(network, folders, BOTH) as run:
        run.start("a")
        assert run.wait() == {"a": 3}, run.logs()
        assert "model.pt" in run.processes["a"].error
    with HostRun(network, folders, BOTH, {"a": ["randomness=seeded_insecure", "allow_insecure=true"]}) as run:
        run.start("a")
        assert run.wait() == {"a": 2}, run.logs()
        assert "refused between hosts" in run.processes["a"].error
