from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from smule_crypten.attacks.table import ATTACKS
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import AttackConfig, DataConfig, ModelConfig, PartitionConfig, SchemeConfig, Section
from smule_crypten.data.datasets import LOADERS, load_data
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.fixed_point.options import LeanOptions
from smule_crypten.inference.registry import SCHEMES
from smule_crypten.launch.composition import known_keys, register_party_models
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import NETWORKS, build_model
from smule_crypten.suites.options import SuiteConfig

SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "partition": PartitionConfig,
    "model": ModelConfig,
    "scheme": SchemeConfig,
    "suite": SuiteConfig,
    "attack": AttackConfig,
}
NAMES = {
    "data": sorted(LOADERS),
    "partition": ["by_class", "dirichlet", "iid", "unequal"],
    "model": sorted([*NETWORKS, "target"]),
    "scheme": sorted(SCHEMES),
    "suite": ["headline", "link", "methods", "scaling", "schemes"],
    "attack": sorted([*ATTACKS, "none"]),
}
FILES = [(group, name) for group, names in NAMES.items() for name in names]


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
def test_file_lists_every_key_and_validates(group: str, name: str) -> None:
    """Each file shows all keys of its section, under its own name, and is accepted."""
    values = load(group, name)
    assert set(values) == set(SECTIONS[group].model_fields)
    assert SECTIONS[group].model_validate(values).name == name  # type: ignore[attr-defined]


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
    build_model(ModelConfig(**load("model", name)), (3, 32, 32), 10, seed=0)


@pytest.mark.parametrize("name", NAMES["scheme"])
def test_listed_scheme_options_are_known(name: str) -> None:
    """The options in the file are the ones that the scheme takes; lean's file shows its defaults, and all of them."""
    config = SchemeConfig(**load("scheme", name))
    SCHEMES[name].check_options(config)
    if name == "lean":
        assert config.options == LeanOptions().model_dump()


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"digits", "target"}))
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
    images_NCHW = load_data(config).train.normalized(config.mean, config.std).images_NCHW
    assert images_NCHW.mean() == pytest.approx(0, abs=2e-3)
    assert images_NCHW.std() == pytest.approx(1, abs=2e-3)


def test_every_key_can_be_set_from_the_command_line() -> None:
    """A key that --help names, and that a simulation may have, stands in the YAML files: Hydra knows no other;
    training.dp has a group of its own.
    """
    register_party_models()
    with initialize_config_module("smule_crypten.conf", version_base="1.3"):
        composed = compose("config")
    between_hosts = {"ledger", "former_fingerprints"}
    wanted = [
        key for key in known_keys(RunConfig) if "training.dp." not in key and key.split(".")[-1] not in between_hosts
    ]
    assert [key for key in wanted if OmegaConf.select(composed, key, default=key) == key] == []
