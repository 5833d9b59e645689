from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from party_configs import party

from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.sections import LaunchConfig, ModelConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import OutputError
from smule_crypten.party.states import StateFolder, digest_of


def test_the_last_two_states_are_kept(tmp_path: Path) -> None:
    """The other party may be one exchange behind, never two."""
    states = StateFolder(tmp_path, party())
    assert states.completed() == []
    for number in (1, 2, 3):
        states.save(number, {"value": torch.tensor(number)})
    assert states.completed() == [2, 3]
    assert states.load(2) == {"value": torch.tensor(2)}


def test_a_run_that_went_back_keeps_what_came_later_until_it_is_there_again(tmp_path: Path) -> None:
    """Later states belong to another course of events: none is gone on from, none is lost before it is made up for."""
    states = StateFolder(tmp_path, party())
    for number in (1, 2, 3):
        states.save(number, {})
    states.save(1, {})
    assert states.completed() == [1]
    assert {path.name for path in tmp_path.glob("*.set_aside.pt")} == {
        "exchange_2.set_aside.pt",
        "exchange_3.set_aside.pt",
    }
    states.save(2, {})
    assert [path.name for path in tmp_path.glob("*.set_aside.pt")] == ["exchange_3.set_aside.pt"]
    states.save(3, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exchange_2.pt", "exchange_3.pt"]


def test_the_state_before_the_first_exchange(tmp_path: Path) -> None:
    """It is one to go on from, until two exchanges are completed."""
    states = StateFolder(tmp_path, party())
    for number in (0, 1):
        states.save(number, {})
    assert states.completed() == [0, 1]
    states.save(2, {})
    assert states.completed() == [1, 2]


def test_remains_of_a_crash(tmp_path: Path) -> None:
    """A temporary file is no state, and the next state clears it away; other files are not ours."""
    (tmp_path / ".exchange_1.pt.abc").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    states = StateFolder(tmp_path, party())
    assert states.completed() == []
    states.save(1, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exchange_1.pt", "notes.txt"]


@pytest.mark.parametrize(
    "changed",
    [
        {"output_dir": "elsewhere"},
        {"launch": LaunchConfig(deadline_seconds=5.0, accept_restart=True)},
        {"disclosure": DisclosureConfig(max_answers_total=100)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_may_change_between_attempts(changed: dict[str, Any], tmp_path: Path) -> None:
    """The place, the deadlines and the owner's budget do not decide what a run computes."""
    StateFolder(tmp_path, party()).save(1, {})
    StateFolder(tmp_path, party(**changed)).check()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"role": "b"},
        {"model": ModelConfig(name="lenet")},
        {"training": TrainingConfig(epochs=20)},
        {"exchange": ExchangeConfig(num_queries=5)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_states_of_another_configuration(changed: dict[str, Any], tmp_path: Path) -> None:
    """Whatever decides what a run computes must be as it was; the state stays."""
    StateFolder(tmp_path, party()).save(1, {})
    with pytest.raises(OutputError, match=f"another configuration: {next(iter(changed))}"):
        StateFolder(tmp_path, party(**changed)).check()
    StateFolder(tmp_path, party()).check()


def test_a_private_training_goes_on_with_as_many_processes(tmp_path: Path) -> None:
    """It repeats an epoch with the same noise: what else follows from the number of processes would stand bare in the
    difference."""
    two = ComputeConfig(devices=2)
    StateFolder(tmp_path / "plain", party()).save(1, {})
    StateFolder(tmp_path / "plain", party(compute=two)).check()
    private = TrainingConfig.model_validate({"dp": {"target_epsilon": 1.0}, "trust": "none", "teacher": "peer"})
    StateFolder(tmp_path / "private", party(training=private)).save(1, {})
    with pytest.raises(OutputError, match=r"compute\.devices: 1 there, 2 here"):
        StateFolder(tmp_path / "private", party(training=private, compute=two)).check()


def test_changed_keys_are_named(tmp_path: Path) -> None:
    """Each with both values; of many, the first and the number of the others."""
    StateFolder(tmp_path, party()).save_alone({})
    with pytest.raises(
        OutputError, match=r"training\.epochs: \d+ there, 20 here; use the same one, or a new"
    ) as raised:
        StateFolder(tmp_path, party(training=TrainingConfig(epochs=20))).check()
    assert "seed" not in str(raised.value)
    many = party(seed=4, device="cuda", training=TrainingConfig(epochs=20, batch_size=7, temperature=9.0))
    with pytest.raises(OutputError, match=r"seed: 0 there, 4 here.* more; use the same one"):
        StateFolder(tmp_path, many).check()


def test_a_state_of_another_version(tmp_path: Path) -> None:
    """It is not called another configuration: nothing in the settings would cure it."""
    torch.save({"schema_version": 3, "configuration": "", "data": None, "state": {}}, tmp_path / "exchange_1.pt")
    with pytest.raises(OutputError, match="was written by another version of this program"):
        StateFolder(tmp_path, party()).check()


def test_the_state_of_the_training_alone(tmp_path: Path) -> None:
    """It is replaced epoch by epoch, is none that the other party could go on from, and ends with the next."""
    states = StateFolder(tmp_path, party())
    assert states.load_alone() is None
    for epoch in (1, 2):
        states.save_alone({"epoch": epoch})
    assert states.load_alone() == {"epoch": 2}
    assert states.completed() == []
    states.save(0, {})
    assert states.load_alone() is None
    assert [path.name for path in tmp_path.iterdir()] == ["exchange_0.pt"]


def test_states_of_other_data(tmp_path: Path) -> None:
    """One more sample, another pixel or another label is another run; who has not loaded any data cannot tell."""
    images = Samples(torch.zeros(3, 1, 2, 2), torch.tensor([0, 1, 2]), torch.arange(3))
    StateFolder(tmp_path, party(), digest_of(images)).save(1, {})
    StateFolder(tmp_path, party(), digest_of(images)).load(1)
    StateFolder(tmp_path, party()).load(1)
    pixel = images.inputs.clone()
    pixel[2, 0, 1, 1] = 1e-6
    for other in (
        Samples(pixel, images.targets, torch.arange(3)),
        Samples(images.inputs, torch.tensor([0, 1, 1]), torch.arange(3)),
        Samples(torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 2, 0]), torch.arange(4)),
        Samples(images.inputs, images.targets, torch.arange(1, 4)),
    ):
        with pytest.raises(OutputError, match="on other data"):
            StateFolder(tmp_path, party(), digest_of(other)).load(1)


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 cut off"])
def test_a_damaged_state(content: bytes, tmp_path: Path) -> None:
    """Any damage is one line that says what to do."""
    (tmp_path / "exchange_1.pt").write_bytes(content)
    with pytest.raises(OutputError, match=r"exchange_1\.pt is damaged; remove the folder"):
        StateFolder(tmp_path, party()).check()
