from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from smule_crypten.attacks.table import ATTACKS
from smule_crypten.config.config_reading import defaults_of, known_keys, leaves, parse
from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.joint_head import JointHeadConfig
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import (
    AttackConfig,
    DataConfig,
    DpConfig,
    ModelConfig,
    PartitionConfig,
    ProviderConfig,
    SchemeConfig,
    Section,
    TrainingConfig,
)
from smule_crypten.data.datasets import LOADERS, load_data
from smule_crypten.data.loaders import DATA_OPTIONS
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.features.torchvision_map import TorchvisionMapOptions
from smule_crypten.fixed_point.options import LeanOptions, TwoPartyOptions
from smule_crypten.inference.registry import SCHEMES
from smule_crypten.launch.composition import register_run, to_run_config
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import AUTO, NETWORKS, build_model
from smule_crypten.suites.options import SuiteConfig, SuiteName

SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "features": FeaturesConfig,
    "joint_head": JointHeadConfig,
    "partition": PartitionConfig,
    "model": ModelConfig,
    "scheme": SchemeConfig,
    "suite": SuiteConfig,
    "attack": AttackConfig,
    "provider": ProviderConfig,
    "training": TrainingConfig,
}
NAMES = {
    "data": sorted(LOADERS),
    "features": ["module", "none", "patches", "torchvision", "trunk"],
    "joint_head": ["none", "ridge"],
    "partition": ["by_class", "dirichlet", "iid", "unequal"],
    "model": sorted([*NETWORKS, AUTO, "target"]),
    "scheme": sorted(SCHEMES),
    "suite": sorted([*get_args(SuiteName), "learning_digits", "learning_joint_head"]),
    "attack": sorted([*ATTACKS, "none"]),
    "provider": ["dealer", "trusted_first_party"],
}
FILES = [
    *((group, name) for group, names in NAMES.items() for name in names),
    *(("training", name) for name in ("images", "private")),
]
EXPERIMENTS = [Path(str(entry)) for entry in files("smule_crypten.conf").joinpath("experiment").iterdir()]


def load(group: str, name: str) -> dict[str, Any]:
    text = files("smule_crypten.conf").joinpath(group, f"{name}.yaml").read_text()
    values = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(values, dict)
    return values


@pytest.mark.parametrize("group", sorted(NAMES))
def test_every_name_has_a_file(group: str) -> None:
    """A name in the program's table can be chosen on the command line, and the reverse."""
    found = (entry.name.removesuffix(".yaml") for entry in files("smule_crypten.conf").joinpath(group).iterdir())
    assert sorted(found) == NAMES[group]


@pytest.mark.parametrize(("group", "name"), FILES)
def test_file_validates_and_holds_differences_alone(group: str, name: str) -> None:
    """Each file is accepted under its own name; a default stands in the model, not here a second time."""
    values = load(group, name)
    if group in NAMES:
        chosen = (
            "module" if name == "trunk" else re.sub("_(digits|joint_head)$", "", name) if group == "suite" else name
        )
        assert values["name"] == chosen
        parse(SECTIONS[group], values)
    written = {key: value for key, value in flat(values) if key != "name"}
    default = dict(flat(defaults_of(SECTIONS[group])))
    assert [key for key, value in written.items() if key in default and default[key] == value] == []
    free = (
        "options.",
        "settings.",
        "attacks.",
    )  # tests/unit/suites/test_simulated.py looks at what a suite holds there
    assert {key for key in written if not key.startswith(free)} <= set(known_keys(SECTIONS[group]))


OPTIONS = {
    "data": DATA_OPTIONS,
    "model": {name: row.options for name, row in NETWORKS.items()},
    "scheme": {"lean": LeanOptions, "two_party": TwoPartyOptions},
    "features": {"torchvision": TorchvisionMapOptions},
    "attack": {name: options for name, (options, _) in ATTACKS.items()},
}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, kinds in OPTIONS.items() for name in kinds])
def test_options_of_a_file_are_differences_alone(group: str, name: str) -> None:
    """As above, for the options of a choice, whose defaults stand in its own model."""
    default = defaults_of(OPTIONS[group][name])
    written = load(group, name).get("options", {})
    assert [key for key, value in written.items() if key in default and default[key] == value] == []


def test_the_main_configuration_holds_differences_alone() -> None:
    """conf/config.yaml chooses, and sets what differs from the models."""
    text = files("smule_crypten.conf").joinpath("config.yaml").read_text()
    values = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(values, dict)
    ours = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    assert ours == {"allow_insecure": True, "randomness": "seeded_insecure"}
    assert not ours.items() & {"allow_insecure": False, "randomness": "fresh"}.items()


@pytest.mark.parametrize("name", sorted(entry.stem for entry in EXPERIMENTS))
def test_an_experiment_holds_what_makes_a_difference(name: str) -> None:
    """Without any one of its values, the experiment would be another one."""
    register_run()
    text = files("smule_crypten.conf").joinpath("experiment", f"{name}.yaml").read_text()
    written = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(written, dict)
    below = [entry for entry in written.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    choices = [f"{key.removeprefix('override /')}={value}" for key, value in overridden(text)]
    written.pop("hydra", None)
    with initialize_config_module("smule_crypten.conf", version_base="1.3"):
        without = compose("config", [*choices, *(f"+experiment={each}" for each in below)])
    assert [key for key, value in flat(written) if OmegaConf.select(without, key) == value] == []


def overridden(text: str) -> list[tuple[str, str]]:
    """The choices that an experiment makes."""
    config: Any = OmegaConf.to_container(OmegaConf.create(text))
    entries = [entry for entry in config.get("defaults", []) if isinstance(entry, dict)]
    return [(str(key), str(value)) for entry in entries for key, value in entry.items()]


def flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Keys in dotted form with their values."""
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        found += flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


@pytest.mark.parametrize("name", NAMES["suite"])
def test_networks_of_a_suite(name: str) -> None:
    """A suite as delivered measures networks that can be shared, and its tables tell them apart."""
    suite = SuiteConfig.model_validate(load("suite", name))
    titles = [choice.title for choice in suite.networks]
    assert len(set(titles)) == len(titles)
    for choice in suite.networks:
        if choice.input_shape is not None and choice.input_shape[-1] <= 32:
            translate(build_model(choice.model, choice.input_shape, choice.num_classes, seed=0), choice.input_shape)


@pytest.mark.parametrize("name", sorted(set(NAMES["model"]) - {"target"}))
def test_listed_network_options_are_known(name: str) -> None:
    """The options in the file are the ones that the network takes."""
    build_model(ModelConfig(**load("model", name)), (3, 32) if name == "convnet1d" else (3, 32, 32), 10, seed=0)


@pytest.mark.parametrize("name", NAMES["scheme"])
def test_listed_scheme_options_are_known(name: str) -> None:
    """The options in the file are the ones that the scheme takes."""
    config = SchemeConfig(**load("scheme", name))
    SCHEMES[name].check_options(config)


@pytest.mark.parametrize(
    "name", sorted(set(LOADERS) - {"digits", "digits_pairs", "breast_cancer", "diabetes", "target"})
)
def test_listed_data_options_are_known(name: str, tmp_path: Any) -> None:
    """The options in the file are the ones that the loader takes: what remains wrong is the empty folder."""
    with pytest.raises(DataError):
        load_data(DataConfig(**(load("data", name) | {"path": str(tmp_path)})))


def test_target_is_asked_for() -> None:
    """The two target files leave the callable open, and the message says so."""
    with pytest.raises(ConfigError, match=r"data\.options\._target_"):
        load_data(DataConfig(**load("data", "target")))
    with pytest.raises(ConfigError, match=r"model\.options\._target_"):
        build_model(ModelConfig(**load("model", "target")), (3, 32, 32), 10, seed=0)


def test_digits_constants_fit_the_data() -> None:
    """With the constants of the file the digits have mean 0 and deviation 1."""
    config = DataConfig(**load("data", "digits"))
    inputs_NX = load_data(config).train.normalized(config.mean, config.std).inputs
    assert inputs_NX.mean() == pytest.approx(0, abs=2e-3)
    assert inputs_NX.std() == pytest.approx(1, abs=2e-3)


PRIVATE = ["simulation.controls=[]", "simulation.pooled=false"]


def test_every_key_of_a_simulation_can_be_set_from_the_command_line() -> None:
    """The models' defaults lie under all files, so that Hydra knows every key that has one."""
    register_run()
    with initialize_config_module("smule_crypten.conf", version_base="1.3"):
        composed = compose(
            "config", ["training.dp.delta=1e-6", "training=private", "data.options.test_fraction=0.5", *PRIVATE]
        )
    run = to_run_config(composed)
    wanted = [key for key, _ in leaves(RunConfig) if "training.dp." not in key]
    assert [key for key in wanted if OmegaConf.select(composed, key, default=key) == key] == []
    assert run.data.options == {"test_fraction": 0.5}
    assert run.training.dp == DpConfig(target_epsilon=8.0, delta=1e-6)
