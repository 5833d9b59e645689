"""Public features between hosts: each party applies the map to its own samples, and nobody else does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hosts_folders import Folders
from hosts_network import Network
from hosts_run import HostRun

from smule_crypten.launch.predict import main as predict_main
from smule_crypten.training.checkpoint import load_model

NUM_IMAGES = 7


@pytest.fixture(scope="module")
def trained(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A finished run on patches, with a cache beside each side's file."""
    folders = Folders(
        tmp_path_factory.mktemp("features"),
        network,
        features={"name": "patches", "copies": 2, "cache": "cache"},
        training__augmentation__crop=1,
        samples__validation=0.1,
    )
    with HostRun(network, folders) as run:
        run.complete()
    with np.load(folders.folder("a") / "data.npz") as data:
        np.savez(folders.folder("a") / "images.npz", images=data["x_test"][:NUM_IMAGES])
    return folders


def files_of(folder: Path) -> dict[str, int]:
    """Mode of each file."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_features_stay_at_their_owner(trained: Folders) -> None:
    """Each side has those of its own samples alone, for its own eyes: constants, training twice, test."""
    found = {role: files_of(trained.folder(role) / "cache") for role in ("a", "b")}
    assert [set(modes.values()) for modes in found.values()] == [{0o600}, {0o600}]
    assert [len(modes) for modes in found.values()] == [4, 4]
    assert len(set(found["a"]) & set(found["b"])) == 1  # the constants, which are public
    assert not (trained.folder("dealer") / "cache").exists()


def test_new_images_are_predicted_through_the_map(network: Network, trained: Folders) -> None:
    """smule-predict takes images; the own network's answers are those of the checkpoint, which knows the map."""
    folder = trained.folder("a")
    before = set(files_of(folder / "cache"))
    both = {"a": predict_main, "b": predict_main}
    with HostRun(network, trained, both, {"a": ["input=images.npz", "output=predictions.npz"]}) as run:
        run.complete()
    assert json.loads((folder / "predictions.json").read_text())["num_images"] == NUM_IMAGES
    images = np.load(folder / "images.npz")["images"]
    model = load_model(trained.output("a") / "model.pt")
    assert model.input_shape == (1, 8, 8)
    assert np.load(folder / "predictions.npz")["own_class"].tolist() == model.predict(images).tolist()
    assert len(set(files_of(folder / "cache")) - before) == 1  # the new images alone were computed
