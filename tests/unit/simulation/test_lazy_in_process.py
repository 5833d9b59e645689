"""Both parties on a folder that is read as it is needed, held against the same run on inputs in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from image_folders import write_folder

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.joint_head import JointHeadConfig
from smule_crypten.config.party import PartySection, SamplesConfig
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import AttackConfig, DataConfig, ModelConfig, PartitionConfig, TrainingConfig
from smule_crypten.config.simulation import SimulationConfig
from smule_crypten.errors import DataError
from smule_crypten.joint_head import head_rows
from smule_crypten.joint_head.head_rows import HeadFeatures, own_statistics
from smule_crypten.simulation.in_process import InProcess


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photographs"), 90, 12)


def run(root: Path, *, in_memory: bool, **settings: Any) -> InProcess:
    section = PartySection(model=ModelConfig(name="auto"), samples=SamplesConfig(validation=0.2, unlabeled=8))
    data = DataConfig(
        name="image_folder",
        path=str(root),
        in_memory=in_memory,
        mean=(0.4, 0.4, 0.4),
        std=(0.2, 0.2, 0.2),
        options={"image_size": [12, 12]},
    )
    return InProcess(
        RunConfig(
            allow_insecure=True,
            data=data,
            partition=PartitionConfig(name="iid"),
            party_a=section,
            party_b=section,
            exchange=ExchangeConfig(num_queries=12, every=1, warmup_epochs=1),
            training=TrainingConfig(epochs=2, batch_size=8),
            simulation=SimulationConfig(fidelity=False),
            **settings,
        )
    )


def state(both: InProcess) -> list[torch.Tensor]:
    """All weights of both networks at the end."""
    return [value for party in both.mutual() for value in party.network.state_dict().values()]


@pytest.mark.parametrize("with_head", [False, True])
def test_both_parties_end_with_the_same_networks(photographs: Path, with_head: bool) -> None:
    """Alone, with the peer's answers, and with a joint head: reading as needed changes no bit."""
    settings: dict[str, Any] = {}
    if with_head:
        settings["joint_head"] = JointHeadConfig(name="ridge", answers=10)
    first, second = (state(run(photographs, in_memory=way, **settings)) for way in (True, False))
    assert len(first) == len(second) > 0
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_features_of_what_is_read_as_needed(photographs: Path) -> None:
    """A public map goes through the folder once; its features are in memory."""
    features = FeaturesConfig(name="patches", cache=None)
    held, lazily = (
        run(photographs, in_memory=way, features=features).learners[0].holding.train for way in (True, False)
    )
    assert lazily.is_in_memory
    assert torch.equal(held.inputs, lazily.inputs)


def test_rows_of_a_joint_head_come_in_blocks(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its map sees the bytes of the files, some at a time; sums over blocks are those over all rows."""
    monkeypatch.setattr(head_rows, "_BATCH", 16)
    made = []
    for way in (True, False):
        both = run(photographs, in_memory=way)
        head = JointHeadConfig(name="ridge", features=FeaturesConfig(name="patches", cache=None))
        features = HeadFeatures(both.run.model_copy(update={"joint_head": head}), both.simulated.data.bundle)
        train = both.learners[0].holding.train
        assert len(list(features.blocks(train))) == (1 if way else 2)
        made.append((features.of(train), own_statistics(features, "classification", train, 3)))
    (held_NF, held), (rows_NF, lazily) = made
    assert torch.equal(held_NF, rows_NF)
    assert torch.equal(held.gram_DD, lazily.gram_DD)
    assert torch.equal(held.moments_DC, lazily.moments_DC)


@pytest.mark.parametrize("name", ["backdoor", "label_flip"])
def test_what_needs_all_inputs_says_so_before_anything_is_trained(photographs: Path, name: str) -> None:
    """An adversary puts its mark on samples, or is at least measured on all of them at the end."""
    with pytest.raises(DataError, match=r"this needs all of them in memory; set data\.in_memory=true"):
        run(photographs, in_memory=False, attack=AttackConfig(name=name, party="b"))
