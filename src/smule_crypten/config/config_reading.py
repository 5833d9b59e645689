"""From plain values to a section of the configuration, what is wrong with them in one line, and what its keys are."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from smule_crypten.config.sections import Section
from smule_crypten.errors import ConfigError, printable, quoted
from smule_crypten.removed import removal

_LONGEST_KEY = 100

SectionT = TypeVar("SectionT", bound=Section)


def parse(kind: type[SectionT], values: Mapping[str, Any], where: Callable[[str], str] = lambda key: "") -> SectionT:
    """Validate plain values (no omegaconf types).

    Args:
        where: the place at which a key in dotted form was written, to stand before what is wrong with it.

    Raises:
        ConfigError: one line that names the key, what is wrong with it and what is valid.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_validation(error, where=where, known=known_keys(kind))) from None


def known_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """All keys of a section in dotted form, those of the sections in it with them."""
    keys = []
    for name, field in section.model_fields.items():
        inner = section_of(field)
        keys += [f"{prefix}{name}", *(known_keys(inner, f"{prefix}{name}.") if inner else ())]
    return keys


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each key of a section that holds a value, in dotted form, with what the model says of it."""
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            yield f"{prefix}{name}", field
        else:
            yield from leaves(inner, f"{prefix}{name}.")


def defaults_of(section: type[BaseModel]) -> dict[str, Any]:
    """The default of each key that has one, as plain values.

    A section for which nothing may stand, and does, is null.
    """
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner and (field.is_required() or field.default is not None):
            found[name] = defaults_of(inner)
        elif not field.is_required():
            found[name] = list(field.default) if isinstance(field.default, tuple) else field.default
    return found


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that stands at a key, alone or with null beside it."""
    members = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    return next((kind for kind in members if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def suggest(wrong: str, known: list[str]) -> str:
    """' (did you mean x? known: ...)' for an unknown name."""
    close = difflib.get_close_matches(wrong, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"({hint}known: {', '.join(sorted(known))})"


def describe_validation(
    error: ValidationError,
    prefix: str = "",
    most: int | None = None,
    where: Callable[[str], str] = lambda key: "",
    known: Sequence[str] = (),
) -> str:
    """One line that names each bad key (below prefix; the first `most` of them), what is wrong and the value.

    where: see parse. known: the keys that there are; the nearest one is named for an unknown key. Of a setting that
    was removed, what takes its place is named.
    """
    problems = []
    for item in error.errors(include_url=False)[:most]:
        key = ".".join([prefix, *map(_key, item["loc"])]).lstrip(".")
        message = printable(item["msg"].removeprefix("Value error, "))
        if gone := removal(key, item["input"]):
            message = gone
        elif item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(key, known, n=1)
            message = f"unknown key; did you mean {close[0]}?" if close else "unknown key"
        elif item["type"] == "missing":
            message = "must be given"
        elif item["type"] in ("tuple_type", "list_type") and isinstance(item["input"], str):
            message = f"takes a list in brackets, as [a, b], got {quoted(item['input'])}"
        elif item["type"] != "value_error":
            message = f"{message}, got {quoted(item['input'])}"
        problems.append(f"{where(key)}{key}: {message}" if key else message)
    return "; ".join(problems)


def _key(part: str | int) -> str:
    """A part of the way to a value; another process may have chosen it."""
    return str(part) if len(str(part)) <= _LONGEST_KEY and str(part).isprintable() else quoted(part)
