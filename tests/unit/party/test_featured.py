"""A party's data set once a public map was applied: what its network sees, and what both parties compare."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from party_configs import party

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.party import SamplesConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import AugmentationConfig, DataConfig, TrainingConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.errors import ConfigError, HandshakeError, ModelError
from smule_crypten.launch.composition import compose_run
from smule_crypten.models.architecture import Architecture
from smule_crypten.mutual_learning.handshake import handshake
from smule_crypten.party.featured import as_the_network_sees, featured, load_bundle
from smule_crypten.party.inputs import inputs_of, load_party_inputs, public_configuration
from smule_crypten.training.augmentation import augment

DIGITS = DataConfig(name="digits", max_train=90, max_test=20, mean=(0.3053,), std=(0.376,))


def config(folder: Path, *, crop: int = 0, copies: int = 1, **settings: Any) -> PartyConfig:
    features = FeaturesConfig(name="patches", copies=copies, cache=str(folder / "cache"))
    training = TrainingConfig(augmentation=AugmentationConfig(crop=crop))
    defaults: dict[str, Any] = {"data": DIGITS, "features": features, "training": training}
    return party(**(defaults | {"samples": SamplesConfig(unlabeled=20)} | settings))


def test_the_network_sees_features(tmp_path: Path) -> None:
    """Of every part, standardised once and for all: data.mean and data.std have no part, and the record says so."""
    made = config(tmp_path)
    assert (made.data.mean, made.data.std) == ((0.0,), (1.0,))
    inputs = load_party_inputs(made)
    assert inputs.bundle.input_shape == (3200,)
    assert [len(part) for part in (inputs.train, inputs.validation, inputs.pool, inputs.test)] == [63, 7, 20, 20]
    plain = load_data(DIGITS)
    expected_NF = as_the_network_sees(made, inputs.bundle, plain.train.of_ids(inputs.pool.sample_ids).inputs)
    assert torch.equal(inputs.pool.inputs, expected_NF)
    assert abs(float(inputs.train.inputs.mean())) < 1
    (note,) = inputs.bundle.notes
    assert note.startswith("features: patches, 3,200 of 1x8x8, map ")


def test_without_a_map_nothing_changes(tmp_path: Path) -> None:
    bundle = load_data(DIGITS)
    assert featured(party(data=DIGITS), bundle, print) is bundle
    assert party(data=DIGITS).data == DIGITS


def test_copies_are_features_of_cropped_images(tmp_path: Path) -> None:
    """The first is the image as it is, the others are of its own crops with a grey border; all belong to its sample."""
    made = config(tmp_path, crop=1, copies=3)
    bundle, plain = load_bundle(made), load_data(DIGITS)
    copies = bundle.train.copies
    assert copies is not None
    assert copies.shape == (90, 3, 3200)
    assert torch.equal(copies[:, 0], bundle.train.inputs)
    for number in (1, 2):
        generator = torch.Generator().manual_seed(20240229 + number)
        batches = plain.train.inputs.split(64)
        images = torch.cat([augment(batch - 0.5, AugmentationConfig(crop=1), generator) + 0.5 for batch in batches])
        assert torch.equal(copies[:, number], as_the_network_sees(made, bundle, images))
    assert not torch.equal(copies[:, 1], copies[:, 2])
    inputs = inputs_of(made, bundle)
    assert inputs.train.copies is not None
    assert inputs.candidates.copies is None
    assert torch.equal(inputs.train.copies[:, 0], inputs.train.inputs)


@pytest.mark.parametrize(("crop", "copies", "word"), [(1, 1, "needs copies"), (0, 3, "copies differ by")])
def test_augmentation_and_copies_belong_together(tmp_path: Path, crop: int, copies: int, word: str) -> None:
    """Neither are features cropped, nor is the same copy kept more than once."""
    with pytest.raises(ValueError, match=word):
        config(tmp_path, crop=crop, copies=copies)


@pytest.mark.parametrize("attack", ["backdoor", "trigger_answers"])
def test_a_trigger_needs_images(attack: str) -> None:
    with pytest.raises(ConfigError, match=f"attack={attack}: its trigger is stamped on images"):
        compose_run(["features=patches", f"attack={attack}"])
    assert compose_run(["features=patches", "attack=label_flip"]).features.is_on


def test_options_of_no_map_are_refused() -> None:
    with pytest.raises(ValueError, match="copies and options belong to a map"):
        FeaturesConfig(copies=2)


def test_a_run_knows_its_data_by_what_features_were_made_of(tmp_path: Path) -> None:
    """Features that another machine rounds otherwise belong to the same run, those of other samples do not."""
    made = config(tmp_path)
    inputs = load_party_inputs(made)
    rounded = dataclasses.replace(inputs.train, inputs=inputs.train.inputs + 1e-6)
    assert dataclasses.replace(inputs, train=rounded).digest == inputs.digest
    others = DIGITS.model_copy(update={"max_test": 19})
    assert load_party_inputs(config(tmp_path, data=others)).digest != inputs.digest


def linear_architecture(features: int) -> Architecture:
    ops = [{"kind": "linear", "name": "fc", "inputs": [-1], "weight_shape": [10, features], "bias": True}]
    return Architecture.from_json({"input_shape": [features], "ops": ops})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": FeaturesConfig(cache=None)}, "features.name: 'patches' here, 'none' at party b"),
        ({"data": DIGITS.model_copy(update={"options": {}})}, None),
        ({"features": "another map"}, "features.map: "),
    ],
)
def test_parties_with_another_map_are_told_so(tmp_path: Path, changes: dict[str, Any], words: str | None) -> None:
    """The handshake names the key that differs; the samples of both may differ as they like."""
    own = config(tmp_path)
    bundle = load_bundle(own)
    theirs_bundle, theirs = bundle, own
    if changes.get("features") == "another map":
        assert bundle.origin is not None
        theirs_bundle = dataclasses.replace(bundle, origin=dataclasses.replace(bundle.origin, map_digest="00" * 32))
    else:
        theirs = config(tmp_path, **changes)
        theirs_bundle = load_bundle(theirs)
    steps = handshake(public_configuration(own, bundle), 0, linear_architecture(3200))
    next(steps)
    message = {"rank": 1, "config": public_configuration(theirs, theirs_bundle).model_dump(mode="json")}
    if words is None:
        steps.send(message)
        return
    with pytest.raises(HandshakeError, match=words):
        steps.send(message)


def test_a_map_that_does_not_fit_the_data_is_refused(tmp_path: Path) -> None:
    """In one line, before anything is computed."""
    with pytest.raises(ModelError, match="cannot be applied to samples of 1x8x8"):
        load_bundle(config(tmp_path, features=module_of_vectors()))


def module_of_vectors() -> FeaturesConfig:
    return FeaturesConfig(name="module", cache=None, options={"_target_": "test_featured.for_vectors"})


def for_vectors(input_shape: tuple[int, ...]) -> torch.nn.Module:
    return torch.nn.Linear(5, 3)
