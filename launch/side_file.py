"""The YAML file that one side of a run between hosts writes, and how it becomes a configuration.

`smule-party +party=my_side.yaml training.epochs=20`: the file lies over the defaults of conf/, and what stands on the
command line lies over the file. Paths in the file are relative to its folder.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from smule_crypten.config import parse
from smule_crypten.errors import ConfigError
from smule_crypten.run_config import DealerConfig, PartyConfig
from smule_crypten.types import PARTY_NAMES

_DEFAULT_GROUPS = {"scheme": "lean", "provider": "dealer", "exchange": "default", "training": "default"}
_NAMED_GROUPS = ("data", "model", "scheme")
_PARTY_PATHS = (
    "network.certificate",
    "network.key",
    "network.peer.certificate",
    "network.dealer.certificate",
    "data.path",
    "output_dir",
    "budget.ledger",
    "predict.checkpoint",
)
_DEALER_PATHS = ("certificate", "key", "party_a", "party_b")


def read_party(arguments: list[str]) -> PartyConfig:
    """The configuration of a party from `+party=FILE key=value ...`.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or impossible.
    """
    side, path, overrides = _read_side(arguments, "party")
    composed = OmegaConf.create({"launch": _group("launch", "default")})
    for group, choice in _DEFAULT_GROUPS.items():
        composed[group] = _group(group, choice)
    chosen = _merged(side, overrides)
    for group in _NAMED_GROUPS:
        name = OmegaConf.select(chosen, f"{group}.name")
        if name is not None:
            composed[group] = _group(group, str(name))
    values = _plain(_merged(composed, chosen))
    _resolve_paths(values, _PARTY_PATHS, path.parent)
    role = values.pop("role", None)
    if role not in PARTY_NAMES:
        raise ConfigError(f"{path}: role: {role!r} is neither a nor b; party a listens, party b connects")
    if values.get("network") is None:
        raise ConfigError(f"{path}: network: must be given: certificate, key, listen or peer.address, peer, dealer")
    return parse(PartyConfig, {**values, "rank": PARTY_NAMES.index(role)})


def read_dealer(arguments: list[str]) -> DealerConfig:
    """The configuration of the dealer from `+dealer=FILE key=value ...`.

    Raises:
        ConfigError: as read_party.
    """
    side, path, overrides = _read_side(arguments, "dealer")
    values = _plain(_merged(OmegaConf.create({"launch": _group("launch", "default")}), _merged(side, overrides)))
    _resolve_paths(values, _DEALER_PATHS, path.parent)
    return parse(DealerConfig, values)


def _read_side(arguments: list[str], kind: str) -> tuple[DictConfig, Path, list[str]]:
    prefix = f"+{kind}="
    files = [argument.removeprefix(prefix) for argument in arguments if argument.startswith(prefix)]
    overrides = [argument for argument in arguments if not argument.startswith(prefix)]
    if len(files) != 1:
        raise ConfigError(f"name the file of this side once: {prefix}my_side.yaml")
    for override in overrides:
        if "=" not in override:
            raise ConfigError(f"cannot read the override {override!r}; write key=value")
    path = Path(files[0]).absolute()
    try:
        side = OmegaConf.load(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(side, DictConfig):
        raise ConfigError(f"{path} holds no keys; see docs/two-hosts.md for an example")
    return side, path, overrides


def _group(group: str, choice: str) -> DictConfig:
    """A file of the configuration groups that are installed with the package."""
    file = resources.files("smule_crypten.conf").joinpath(group, f"{choice}.yaml")
    if not file.is_file():
        raise ConfigError(f"{group}.name: no {group} is called {choice!r}; smule --help lists the choices")
    loaded = OmegaConf.create(file.read_text())
    assert isinstance(loaded, DictConfig)
    return loaded


def _merged(first: DictConfig, second: DictConfig | list[str]) -> DictConfig:
    """first with what second says in its place: keys, or overrides in the form key=value."""
    try:
        merged = OmegaConf.merge(first, OmegaConf.from_dotlist(second) if isinstance(second, list) else second)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    assert isinstance(merged, DictConfig)
    return merged


def _plain(config: DictConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(" ".join(str(error).split())) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _resolve_paths(values: dict[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    for key in keys:
        *parents, last = key.split(".")
        section: Any = values
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(section.get(last), str):
            section[last] = str(folder / Path(section[last]).expanduser())
