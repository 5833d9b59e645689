"""The YAML file that one side of a run between hosts writes, and how it becomes a configuration.

`smule-party +party=my_side.yaml training.epochs=20`, or my_side.yaml alone: the file lies over the defaults of conf/,
and what stands on the command line lies over the file. Paths in the file are relative to its folder.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smule_crypten.config.run import DealerConfig, PartyConfig
from smule_crypten.config.sections import parse, suggest
from smule_crypten.errors import ConfigError, quoted
from smule_crypten.launch.side_yaml import SideSettings, read_settings
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
    side = _read_side(arguments, "party")
    composed = OmegaConf.create({"launch": _group("launch", "default")})
    for group, choice in _DEFAULT_GROUPS.items():
        composed[group] = _group(group, choice)
    chosen = _merged(side.in_file, side.on_command_line)
    for group in _NAMED_GROUPS:
        section = chosen.get(group)
        name = section.get("name") if isinstance(section, DictConfig) else None
        if name is not None:
            composed[group] = _group(group, str(name), side.where(f"{group}.name"))
    values = _plain(_merged(composed, chosen))
    _resolve_paths(values, _PARTY_PATHS, side)
    role = values.pop("role", None)
    if role is None:
        raise ConfigError(f"{side.path}: role: must be given; party a listens, party b connects")
    if role not in PARTY_NAMES:
        raise ConfigError(f"{side.where('role')}role: {role!r} is neither a nor b; party a listens, party b connects")
    if "rank" in values:
        raise ConfigError(f"{side.where('rank')}rank: unknown key; did you mean role?")
    if values.get("network") is None:
        raise ConfigError(
            f"{side.path}: network: must be given: certificate, key, listen or peer.address, peer, dealer"
        )
    return parse(PartyConfig, {**values, "rank": PARTY_NAMES.index(role)}, side.where)


def read_dealer(arguments: list[str]) -> DealerConfig:
    """The configuration of the dealer from `+dealer=FILE key=value ...`.

    Raises:
        ConfigError: as read_party.
    """
    side = _read_side(arguments, "dealer")
    chosen = _merged(side.in_file, side.on_command_line)
    values = _plain(_merged(OmegaConf.create({"launch": _group("launch", "default")}), chosen))
    _resolve_paths(values, _DEALER_PATHS, side)
    return parse(DealerConfig, values, side.where)


def _read_side(arguments: list[str], kind: str) -> SideSettings:
    prefix, others = f"+{kind}=", {"party", "dealer"} - {kind}
    files = [argument.removeprefix(prefix) for argument in arguments if _names_file(argument, prefix)]
    overrides = [argument for argument in arguments if not _names_file(argument, prefix)]
    for other in others:
        if any(override.startswith(f"+{other}=") for override in overrides):
            raise ConfigError(f"+{other}= is not for this command; name the file of this side as {prefix}my_side.yaml")
    if len(files) != 1:
        raise ConfigError(f"name the file of this side once: {prefix}my_side.yaml")
    return read_settings(Path(files[0]).absolute(), overrides)


def _names_file(argument: str, prefix: str) -> bool:
    """+party=my_side.yaml, or the file alone."""
    return argument.startswith(prefix) or ("=" not in argument and argument.endswith((".yaml", ".yml")))


def _group(group: str, choice: str, where: str = "") -> DictConfig:
    """A file of the configuration groups that are installed with the package."""
    folder = resources.files("smule_crypten.conf").joinpath(group)
    known = [file.name.removesuffix(".yaml") for file in folder.iterdir()]
    if choice not in known:
        raise ConfigError(f"{where}{group}.name: no {group} is called {quoted(choice)} {suggest(choice, known)}")
    loaded = OmegaConf.create(folder.joinpath(f"{choice}.yaml").read_text())
    assert isinstance(loaded, DictConfig)
    return loaded


def _merged(first: DictConfig, second: DictConfig) -> DictConfig:
    """first with what second says in its place."""
    try:
        merged = OmegaConf.merge(first, second)
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


def _resolve_paths(values: dict[str, Any], keys: tuple[str, ...], side: SideSettings) -> None:
    for key in keys:
        *parents, last = key.split(".")
        section: Any = values
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(section.get(last), str):
            section[last] = _resolved(section[last], side.path.parent, f"{side.where(key)}{key}")


def _resolved(text: str, folder: Path, key: str) -> str:
    try:
        path = folder / Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{key}: no user of this machine has the home of {text!r}; write the whole path") from None
    if "\0" in text or not text:
        raise ConfigError(f"{key}: {text!r} is no path")
    return str(path)
