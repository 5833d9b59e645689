"""Which network answers the peer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from party_configs import party

from smule_crypten.config import DataConfig, TrainingConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import DataBundle
from smule_crypten.party_config import SamplesConfig
from smule_crypten.processes.answering import AnsweringNetwork, answering_network, fallback
from smule_crypten.processes.inputs import build_party_model
from smule_crypten.processes.run_folder import STANDALONE_FILE, party_folder
from smule_crypten.run_config import PartyConfig
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.checkpoint import Checkpoint, save_checkpoint
from smule_crypten.training.evaluate import Evaluation

DATA = DataConfig(name="digits", max_train=100)
ALONE, KEPT = 1.0, 2.0


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return load_data(DATA)


def configured(folder: Path, *, standalone: bool = True, keep: str = "last") -> PartyConfig:
    """A party whose network trained alone has a first bias of ALONE."""
    config = party(
        data=DATA,
        output_dir=str(folder),
        samples=SamplesConfig(validation=0.1),
        training=TrainingConfig.model_validate({"standalone": standalone, "keep": keep}),
    )
    bundle = load_data(DATA)
    checkpoint = Checkpoint(
        model=config.model,
        input_shape=bundle.input_shape,
        num_classes=bundle.num_classes,
        class_names=bundle.class_names,
        mean=DATA.mean,
        std=DATA.std,
        model_step=30,
        state_dict=network(config, bundle, ALONE, step=30).model.state_dict(),
    )
    save_checkpoint(party_folder(config) / STANDALONE_FILE, checkpoint)
    return config


def network(config: PartyConfig, bundle: DataBundle, value: float, step: int = 6) -> AnsweringNetwork:
    model = build_party_model(config, bundle)
    torch.nn.init.constant_(list(model.parameters())[-1], value)
    return AnsweringNetwork(model, step, "smule, epoch 2")


def kept(config: PartyConfig, bundle: DataBundle) -> BestNetwork:
    best = BestNetwork()
    result = Evaluation(accuracy=0.9, accuracy_by_class=[0.9] * 10, loss=1.0)
    counts = torch.full((10,), 5)
    best.offer(network(config, bundle, KEPT).model, result, counts, "smule, epoch 1", model_step=3)
    return best


def value_of(found: AnsweringNetwork) -> float:
    return float(list(found.model.parameters())[-1].detach().mean())


def test_the_best_network_answers(tmp_path: Path, bundle: DataBundle) -> None:
    """What the validation part found best, else what was trained alone; name and step say which."""
    config = configured(tmp_path)
    in_training = network(config, bundle, 0.0)
    alone = answering_network(config, bundle, in_training, BestNetwork())
    assert (value_of(alone), alone.model_step, alone.name) == (ALONE, 30, "alone")
    best = answering_network(config, bundle, in_training, kept(config, bundle))
    assert (value_of(best), best.model_step, best.name) == (KEPT, 3, "smule, epoch 1")
    assert value_of(in_training) == 0.0


def test_the_network_in_training_answers(tmp_path: Path, bundle: DataBundle) -> None:
    """Where there is no finished one; and that is said."""
    config = configured(tmp_path, standalone=False)
    in_training = network(config, bundle, 0.0)
    assert answering_network(config, bundle, in_training, BestNetwork()) is in_training
    assert fallback(config) is not None


def test_what_is_said_of_a_missing_network(tmp_path: Path) -> None:
    """With a validation part the best epoch so far answers."""
    assert fallback(configured(tmp_path)) is None
    text = fallback(configured(tmp_path, standalone=False, keep="best"))
    assert text is not None
    assert "the best of its epochs so far: there is no finished one" in text
