"""From the models' defaults, the groups in conf/, a file and the command line to plain values, for every command.

Hydra composes. `smule` lets it take conf/config.yaml; a side between hosts has a file of its own in its place.
Defaults come from the models alone, so the files hold what differs from them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smule_crypten.config.config_reading import defaults_of, known_keys, parse, suggest
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import Section
from smule_crypten.errors import ConfigError, quoted
from smule_crypten.launch.groups import choices
from smule_crypten.removed import removal

CONF = "smule_crypten.conf"
_LONGEST_SHOWN = 100
_SIDE, _SIDE_DEFAULTS = "side", "side_defaults"
_OF_A_RUN = ("party_a", "party_b")


def register_run(beside: Mapping[str, type[Section]] | None = None) -> None:
    """What conf/config.yaml refers to and no file holds: the models' defaults, and every network for either party.

    Args:
        beside: sections that a command has beside those of a run, by name.
    """
    store = ConfigStore.instance()
    others = {name: defaults_of(kind) for name, kind in (beside or {}).items()}
    store.store(name="run_defaults", node=_open(defaults_of(RunConfig) | others))
    for name in choices("model"):
        for party in _OF_A_RUN:
            store.store(group=f"{party}/model", name=name, node={"defaults": [{"/model@_here_": name}]})


def to_run_config(composed: DictConfig) -> RunConfig:
    """Resolve and validate.

    Raises:
        ConfigError: a value is missing, of the wrong type or impossible.
    """
    return parse(RunConfig, _plain(composed))


def compose_run(overrides: list[str]) -> RunConfig:
    """What `smule` would run with these arguments.

    Raises:
        ConfigError: in one line, of the override that is wrong.
    """
    register_run()
    try:
        with initialize_config_module(CONF, version_base="1.3"):
            return to_run_config(compose("config", overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from None


def compose_side(
    kind: type[Section], written: DictConfig, chosen: Mapping[str, str | None], overrides: list[str]
) -> dict[str, Any]:
    """The values of one side between hosts.

    Args:
        written: what its file says, without `defaults`.
        chosen: group -> the file of conf/ that lies under what is written, None for none.
        overrides: those of the command line, which lie over both; they may choose another file of these groups.

    Raises:
        ConfigError: in one line, of the command line.
    """
    store = ConfigStore.instance()
    for party in _OF_A_RUN:  # a dealer's file has keys of these names, which are no groups
        store.repo.pop(party, None)
    store.store(name=_SIDE_DEFAULTS, node=_open(defaults_of(kind)))
    listed = [_SIDE_DEFAULTS, *({group: choice} for group, choice in chosen.items()), "_self_"]
    store.store(name=_SIDE, node=OmegaConf.merge({"defaults": listed}, written))
    try:
        with initialize_config_module(CONF, version_base="1.3"):
            return _plain(compose(_SIDE, overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"command line: {explain(error, kind)}") from None


def explain(error: Exception, kind: type[Section] = RunConfig) -> ConfigError:
    """One line for an error that Hydra or OmegaConf raised while composing the configuration of that kind."""
    text = " ".join(str(error).split())
    unknown = re.search(r"Could not override '([\w.@/]+)'", text)
    if unknown and "is not in struct" in f"{text} {error.__cause__}":
        key = unknown.group(1)
        close = difflib.get_close_matches(key, known_keys(kind), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return ConfigError(f"{key}: {removal(key) or f'unknown key; {hint}--help lists all keys'}")
    missing = re.search(r"Could not find '([\w@/]+)/([\w.-]+)' Available options in '[^']*': (.*?) Config search", text)
    if missing:
        group, choice, known = missing.groups()
        return ConfigError(f"{group}: no choice {choice!r} {suggest(choice, known.split())}")
    if isinstance(error, OverrideParseException):
        return _explain_override(error.override)
    return ConfigError(text)


def _explain_override(override: str) -> ConfigError:
    key, _, value = override.partition("=")
    advice = ", quoted for the shell"
    if key and value and not set(value) & set("\"'") and len(value) <= _LONGEST_SHOWN:
        advice = f"""; text with special characters needs quotes within quotes: '{key}="{value}"'"""
    return ConfigError(f"cannot read the override {quoted(override)}; write key=value{advice}")


def _open(values: dict[str, Any]) -> DictConfig:
    """A node whose sections take any key: the models say which there are, with a better answer than Hydra's."""
    node = OmegaConf.create(values)
    for section in values:
        if isinstance(node[section], DictConfig):
            OmegaConf.set_struct(node[section], False)
    return node


def _plain(composed: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in values.items()}
