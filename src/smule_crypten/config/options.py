"""The free options of a named choice (`data.options`, a network's `options`) and importable targets."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from smule_crypten.config.config_reading import describe_validation, suggest
from smule_crypten.config.sections import Section
from smule_crypten.errors import ConfigError, SmuleError
from smule_crypten.torchvision_compat import prepare_torchvision

OptionsT = TypeVar("OptionsT", bound=Section)


def parse_options(kind: type[OptionsT], options: Mapping[str, Any], key: str) -> OptionsT:
    """Validate options against kind; key is where the user wrote them, for example "data.options".

    Raises:
        ConfigError: an option is unknown, missing, of the wrong type or out of range.
    """
    for name in options:
        if name not in kind.model_fields:
            known = suggest(name, list(kind.model_fields)) if kind.model_fields else "(no options are known here)"
            raise ConfigError(f"{key}.{name}: unknown option {known}")
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        raise ConfigError(describe_validation(error, key)) from None


def call_target(options: Mapping[str, Any], key: str, failure: type[SmuleError], **arguments: Any) -> Any:
    """Call the importable `options._target_` with arguments and all other options as keyword arguments.

    Raises:
        ConfigError: _target_ is missing, cannot be imported or is not callable.
        SmuleError: of type failure, when the call itself fails. The original error is chained.
    """
    path = options.get("_target_")
    target = _resolve(path, f"{key}._target_")
    rest = {name: value for name, value in options.items() if name != "_target_"}
    try:
        return target(**arguments, **rest)
    except SmuleError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(f"{key}._target_: {path} failed with {one_line(error)}") from error


def _resolve(path: object, key: str) -> Callable[..., Any]:
    if not isinstance(path, str):
        raise ConfigError(f"{key}: expected an importable callable such as my_package.my_module.build, got {path!r}")
    prepare_torchvision()  # before any module of the user's imports it
    try:
        target = pkgutil.resolve_name(path)
    except (Exception, SystemExit) as error:  # importing runs whatever the module does
        raise ConfigError(f"{key}: cannot import {path} ({one_line(error)}); {_import_remedy(path, error)}") from error
    if not callable(target):
        raise ConfigError(f"{key}: {path} is a {type(target).__name__} and cannot be called; name a function or class")
    resolved: Callable[..., Any] = target
    return resolved


def _import_remedy(path: str, error: BaseException) -> str:
    """What to do, by whether it is the name that is wrong, a module that the target needs, or the target's own code."""
    if path.startswith("__main__:") and not _is_from_inside(error):
        return "what was typed into Python or a notebook is known there alone; put it into a module or a script"
    if isinstance(error, ModuleNotFoundError) and error.name is not None and not _is_on_the_way(error.name, path):
        return f"the module is there, but imports {error.name}, which is not installed here; install it"
    if isinstance(error, ModuleNotFoundError | AttributeError | ValueError) and not _is_from_inside(error):
        return "check the spelling and that it is installed or on PYTHONPATH"
    return "the module is there, but fails while it is imported; fix that"


def _is_on_the_way(name: str, path: str) -> bool:
    dotted = path.replace(":", ".")
    return dotted == name or dotted.startswith(f"{name}.")


def _is_from_inside(error: BaseException) -> bool:
    """Whether the target's own code raised it, not the search for the name."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    searching = (__file__, pkgutil.__file__, importlib.__file__)
    return not all(name in searching or name.startswith("<frozen importlib") for name in frames)


def one_line(error: BaseException) -> str:
    """The type and the first line of a foreign error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
