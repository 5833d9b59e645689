"""From Hydra's composed configuration to a validated RunConfig, and Hydra's errors in one line."""

from __future__ import annotations

import difflib
import re
from importlib import resources
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import known_keys, parse, suggest
from smule_crypten.errors import ConfigError


def register_party_models() -> None:
    """Offer every file of the group `model` as `party_a/model` and `party_b/model` too."""
    store = ConfigStore.instance()
    for file in resources.files("smule_crypten.conf").joinpath("model").iterdir():
        name = file.name.removesuffix(".yaml")
        for party in ("party_a", "party_b"):
            store.store(group=f"{party}/model", name=name, node={"defaults": [{"/model@_here_": name}]})


def to_run_config(composed: DictConfig) -> RunConfig:
    """Resolve and validate.

    Raises:
        ConfigError: a value is missing, of the wrong type or impossible.
    """
    values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    return parse(RunConfig, values)


def explain(error: Exception) -> ConfigError:
    """One line for an error that Hydra or OmegaConf raised while composing."""
    text = " ".join(str(error).split())
    unknown = re.search(r"Could not override '([\w.@/]+)'", text)
    if unknown and "is not in struct" in f"{text} {error.__cause__}":
        key = unknown.group(1)
        if ".options." in key:
            return ConfigError(f"{key}: not among the options of this choice; to add it, write +{key}=value")
        close = difflib.get_close_matches(key, known_keys(RunConfig), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return ConfigError(f"{key}: unknown key; {hint}smule --help lists all keys")
    missing = re.search(r"Could not find '([\w@/]+)/([\w.-]+)' Available options in '[^']*': (.*?) Config search", text)
    if missing:
        group, choice, known = missing.groups()
        return ConfigError(f"{group}: no choice {choice!r} {suggest(choice, known.split())}")
    if isinstance(error, OverrideParseException):
        return ConfigError(f"cannot read the override {error.override!r}; write key=value, quoted for the shell")
    return ConfigError(text)
