"""The YAML file that one side of a run between hosts writes, and how it becomes a configuration.

`smule-party +party=my_side.yaml training.epochs=20`, or my_side.yaml alone: the file lies over the defaults of conf/,
and what stands on the command line lies over the file. Paths in the file are relative to its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.config.config_reading import parse, suggest
from smule_crypten.config.dealer import DealerConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import ConfigError, quoted
from smule_crypten.launch.composition import compose_side
from smule_crypten.launch.groups import CHOSEN_BY_NAME, GROUPS_OF_A_PARTY, choices
from smule_crypten.launch.side_yaml import SideSettings, read_settings

_PARTY_PATHS = (
    "connection.certificate",
    "connection.key",
    "connection.peer.certificate",
    "connection.dealer.certificate",
    "data.path",
    "data.options.schema_file",
    "features.cache",
    "features.options.path",
    "joint_head.features.cache",
    "joint_head.features.options.path",
    "public_pool.path",
    "public_pool.options.schema_file",
    "output_dir",
    "disclosure.ledger",
    "terms",
    "audit.path",
    "predict.checkpoint",
)
_DEALER_PATHS = ("certificate", "key", "party_a", "party_b", "output_dir")
_OF_HYDRA = {"party": ("hydra",), "dealer": ("hydra", "defaults")}
"""Keys that it would take for its own, and that no side has."""


def read_party(arguments: list[str]) -> PartyConfig:
    """The configuration of a party from `+party=FILE key=value ...`.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or impossible.
    """
    side = _read_side(arguments, "party")
    values = compose_side(PartyConfig, *_chosen(side), side.overrides)
    paths = [key for key in _PARTY_PATHS if key != "terms" or values.get(key) != NO_TERMS]
    _resolve_paths(values, paths, side)
    config = parse(PartyConfig, values, side.where)
    if config.connection is None:
        raise ConfigError(
            f"{side.path}: connection: must be given: certificate, key, listen or peer.address, peer, "
            "and dealer where the scheme needs one"
        )
    return config


def read_dealer(arguments: list[str]) -> DealerConfig:
    """The configuration of the dealer from `+dealer=FILE key=value ...`.

    Raises:
        ConfigError: as read_party.
    """
    side = _read_side(arguments, "dealer")
    if "scheme" in side.in_file or any(_key(override).split(".")[0] == "scheme" for override in side.overrides):
        raise ConfigError(
            f"{side.where('scheme')}scheme: is no key of a dealer, which serves every scheme that needs one; with "
            "scheme=two_party there is no dealer to start"
        )
    values = compose_side(DealerConfig, side.in_file, {}, side.overrides)
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
    side = read_settings(Path(files[0]).absolute(), overrides)
    for key in [*side.in_file, *map(_key, overrides)]:
        if not key:
            raise ConfigError(f"cannot read an override of {quoted(overrides)}; write key=value")
        if str(key).partition(".")[0] in _OF_HYDRA[kind]:
            raise ConfigError(f"{side.where(str(key))}{key}: unknown key; --help lists all keys")
    return side


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _names_file(argument: str, prefix: str) -> bool:
    """+party=my_side.yaml, or the file alone."""
    return argument.startswith(prefix) or ("=" not in argument and argument.endswith((".yaml", ".yml")))


def _chosen(side: SideSettings) -> tuple[DictConfig, dict[str, str | None]]:
    """What the file says beside its choices, and the file of conf/ that it chooses of each group.

    By the name of a section or in the list `defaults`, as in `defaults: [training: images]`.
    """
    written = side.in_file.copy()
    chosen: dict[str, str | None] = dict.fromkeys(GROUPS_OF_A_PARTY)
    for group in CHOSEN_BY_NAME:
        section = written.get(group)
        if isinstance(section, DictConfig) and isinstance(section.get("name"), str):
            chosen[group] = _known(group, str(section.pop("name")), f"{side.where(f'{group}.name')}{group}.name")
    for entry in written.pop("defaults", None) or ():
        place = f"{side.where('defaults')}defaults"
        if not isinstance(entry, DictConfig) or len(entry) != 1 or set(entry) - set(GROUPS_OF_A_PARTY):
            groups = ", ".join(GROUPS_OF_A_PARTY)
            raise ConfigError(f"{place}: write a list of choices, as in [training: images]; groups: {groups}")
        ((of_group, choice),) = entry.items()
        chosen[str(of_group)] = _known(str(of_group), str(choice), place)
    return written, chosen


def _known(group: str, choice: str, place: str) -> str:
    known = choices(group)
    if choice not in known:
        raise ConfigError(f"{place}: no {group} is called {quoted(choice)} {suggest(choice, known)}")
    return choice


def _resolve_paths(values: dict[str, Any], keys: Sequence[str], side: SideSettings) -> None:
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
