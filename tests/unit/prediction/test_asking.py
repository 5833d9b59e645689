"""What a trained party checks on its own side, before anybody is met."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from party_configs import party
from torch import nn

from smule_crypten.config.party import PredictConfig, SamplesConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DataConfig, ModelConfig
from smule_crypten.data.samples import UNKNOWN, Samples
from smule_crypten.errors import ConfigError, DataError, ModelError, OutputError, UnshareableModelError
from smule_crypten.party.inputs import build_party_model, load_party_inputs
from smule_crypten.party.run_folder import MODEL_FILE, STATES_FOLDER, identify_run, party_folder
from smule_crypten.party.states import StateFolder
from smule_crypten.prediction import asking
from smule_crypten.prediction.asking import load_trained_party
from smule_crypten.prediction.estimate import estimate
from smule_crypten.prediction.predict_files import predict
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.schema_file import text_of
from smule_crypten.training.checkpoint import Checkpoint, save_checkpoint

DIGITS = DataConfig(name="digits", max_train=300)


def config(folder: Path, **settings: Any) -> PartyConfig:
    return party(output_dir=str(folder), data=DIGITS, samples=SamplesConfig(validation=0.1), **settings)


def trained(folder: Path, *, known: bool = True, **changes: Any) -> PartyConfig:
    """A party whose folder holds a network, of the very run where `known`."""
    made = config(folder)
    inputs = load_party_inputs(made)
    bundle = inputs.bundle
    checkpoint = Checkpoint(
        model=made.model,
        input_shape=bundle.input_shape,
        num_classes=bundle.num_classes,
        class_names=bundle.class_names,
        mean=made.data.mean,
        std=made.data.std,
        model_step=7,
        state_dict=build_party_model(made, bundle).state_dict(),
    )
    save_checkpoint(party_folder(made) / MODEL_FILE, dataclasses.replace(checkpoint, **changes))
    if known:
        identify_run(made, StateFolder(party_folder(made) / STATES_FOLDER, made, inputs.digest))
    return made


def test_the_validation_part_is_asked_about(tmp_path: Path) -> None:
    """As many of it as configured, the same ones each time; none of them was trained on."""
    made = trained(tmp_path)
    found = load_trained_party(made)
    assert (found.model_step, len(found.held_out)) == (7, 30)
    few = config(tmp_path, predict=PredictConfig(validation_queries=12))
    ids = [load_trained_party(few).held_out.sample_ids.tolist() for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 12
    assert not set(ids[0]) & set(found.inputs.train.sample_ids.tolist())


def by_schema(folder: Path) -> PartyConfig:
    """Numbers of a table, on the scale that its schema says, and a network that follows from the data."""
    columns = [Column(name="x", kind="numeric", centre=50.0, scale=20.0)]
    columns.append(Column(name="y", kind="numeric", role="target", centre=200.0, scale=40.0))
    (folder / "schema.yaml").write_text(text_of(TableSchema(columns=tuple(columns))))
    (folder / "t.csv").write_text("x,y\n" + "".join(f"{x},{2 * x + 100}.5\n" for x in range(200)))
    options = {"schema_file": str(folder / "schema.yaml")}
    return config(folder, task="regression", model=ModelConfig(name="auto")).model_copy(
        update={"data": DataConfig(name="table", path=str(folder / "t.csv"), options=options)}
    )


def test_what_follows_from_the_data_is_as_in_the_run(tmp_path: Path) -> None:
    """A run resolves model=auto and the constants of a schema before it keeps anything; what comes after does, too, so
    that its network fits and its validation part is known.
    """
    asked = by_schema(tmp_path)
    inputs = load_party_inputs(asked)
    made, bundle = inputs.config, inputs.bundle
    assert (made.model.name, made.data.target_mean, made.data.target_std) == ("mlp", (200.0,), (40.0,))
    checkpoint = Checkpoint(
        model=made.model,
        input_shape=bundle.input_shape,
        num_classes=1,
        class_names=bundle.class_names,
        task="regression",
        mean=made.data.mean,
        std=made.data.std,
        target_mean=made.data.target_mean,
        target_std=made.data.target_std,
        model_step=7,
        state_dict=build_party_model(made, bundle).state_dict(),
    )
    save_checkpoint(party_folder(made) / MODEL_FILE, checkpoint)
    identify_run(made, StateFolder(party_folder(made) / STATES_FOLDER, made, inputs.digest))
    found = load_trained_party(asked)
    assert found.config == made
    assert len(found.held_out) == len(inputs.validation) > 0
    values = found.task.predictions(found.held_out.targets)
    assert torch.allclose(values, bundle.train.of_ids(found.held_out.sample_ids).targets)


def test_other_settings_than_those_of_the_training(tmp_path: Path) -> None:
    """With another seed the network may have been trained on what is now held out, so none of it counts."""
    trained(tmp_path)
    other = config(tmp_path, seed=1)
    assert len(load_trained_party(other).held_out) == 0
    with pytest.raises(DataError, match="no held-out sample"):
        estimate(other)


def test_a_named_checkpoint(tmp_path: Path) -> None:
    """Whoever names one says by that that the validation part is held out for it, too."""
    made = trained(tmp_path, known=False)
    assert len(load_trained_party(made).held_out) == 0
    named = PredictConfig(checkpoint=str(party_folder(made) / MODEL_FILE))
    assert len(load_trained_party(config(tmp_path / "other", predict=named)).held_out) == 30


@pytest.mark.parametrize("change", [{"mean": (0.5,)}, {"class_names": tuple("abcdefghij")}, {"input_shape": (1, 9, 9)}])
def test_a_network_for_other_data(tmp_path: Path, change: dict[str, Any]) -> None:
    """Its answers would mean something else."""
    with pytest.raises(ModelError, match=r"model\.pt was trained with other data"):
        load_trained_party(trained(tmp_path, **change))


def hooked(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
    model[1].register_forward_hook(lambda module, inputs, result: 3 * result)
    return model


def test_a_network_that_the_peer_would_see_differently(tmp_path: Path) -> None:
    """smule-predict and smule-estimate compare before anybody is met."""
    made = trained(tmp_path)
    choice = ModelConfig(name="target", options={"_target_": f"{__name__}.hooked"})
    other = made.model_copy(update={"model": choice})
    state = hooked((1, 8, 8), 10).state_dict()
    trained(tmp_path, known=False, model=choice, state_dict=state)
    with pytest.raises(UnshareableModelError, match=r"^1 \(Linear\) .+ a hook"):
        load_trained_party(other)


def test_no_network(tmp_path: Path) -> None:
    """The message names where it was looked for."""
    with pytest.raises(DataError, match=r"party_a/model\.pt"):
        load_trained_party(config(tmp_path))


def test_input_and_output_belong_together(tmp_path: Path) -> None:
    """One without the other is refused, and so is what exists, before anything is loaded."""
    made = config(tmp_path)
    for files in ({"images": tmp_path / "in.npz"}, {"output": tmp_path / "out.npz"}):
        with pytest.raises(ConfigError, match="give both input= and output="):
            predict(made, **files)
    with pytest.raises(ConfigError, match=r"\.npz file"):
        predict(made, tmp_path / "in.npz", tmp_path / "out.json")
    (tmp_path / "out.json").write_text("{}")
    with pytest.raises(OutputError, match=r"out\.json exists"):
        predict(made, tmp_path / "in.npz", tmp_path / "out.npz")


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    """It is found before the peer is asked, not after."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        predict(config(tmp_path), tmp_path / "in.npz", tmp_path / "file" / "out.npz")


def test_questions_in_parts() -> None:
    """Each sample once, in order, the last part smaller; then nothing, while the peer still asks."""
    asked = Samples(torch.zeros(5, 1, 1, 1), torch.full((5,), UNKNOWN), torch.arange(5))
    assert [asking._part(asked, number, 2).sample_ids.tolist() for number in range(4)] == [[0, 1], [2, 3], [4], []]
    assert asking._part(asked, 0, 5).sample_ids.tolist() == [0, 1, 2, 3, 4]


class _EnoughSeenError(Exception):
    """Ends a question once it is clear what it would be made of."""


def test_what_is_announced_does_not_follow_from_what_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds and noise are measured on own training samples, never on the images in question: the owner of the other
    network hears of them.
    """
    found = load_trained_party(trained(tmp_path))
    given: dict[str, Any] = {}

    def noting(*positional: object, **arguments: Any) -> None:
        given.update(arguments)
        raise _EnoughSeenError

    monkeypatch.setattr(asking, "SecurePeer", noting)
    asked = Samples(torch.full((5, 1, 8, 8), 9.0), torch.full((5,), UNKNOWN), torch.arange(5))
    with pytest.raises(_EnoughSeenError):
        asking._exchange(found, None, asked, None, None, (5, 5), 1)  # type: ignore[arg-type]
    calibration = given["calibration"].inputs
    assert torch.equal(calibration, found.inputs.train.inputs)
    assert not (calibration == 9.0).any()
