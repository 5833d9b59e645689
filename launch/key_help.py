"""What each key of a configuration means and which values it takes, for --help.

The words are the comments of the files in conf/, the values those of the sections. Nothing here computes, so nothing
heavy is imported.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from importlib import resources
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from smule_crypten.config.run import DealerConfig, PartyConfig, RunConfig

_WIDTH = 80
_LINE = re.compile(r"( *)([\w]+):(.*)")
_SOURCES = {
    "": ("config", "side/party"),
    "data": ("side/data",),
    "model": ("model/target",),
    "partition": ("partition/dirichlet",),
    "scheme": ("scheme/lean",),
    "provider": ("provider/dealer",),
    "exchange": ("exchange/default",),
    "training": ("training/default", "training/private"),
    "launch": ("launch/default",),
    "attack": ("attack/none",),
}
"""Section -> the files whose comments explain its keys."""
_GROUPS = ("data", "partition", "model", "scheme", "provider", "exchange", "training", "launch", "attack", "experiment")
_OF_A_CHOICE = {
    "name": "Which {section}; the choices are above.",
    "options": "Options of the choice, each with its own.",
}
_KINDS = {bool: "true, false", int: "whole number", float: "number", str: "text", NoneType: "null"}
_SHOWN = {Ge: ">=", Gt: ">", Le: "<=", Lt: "<"}
_EXCEPT_OF_SIDES = ("rank", "partition.", "attack.", "allow_insecure", "randomness")
"""What only a simulation chooses; the role of a side says its rank."""


def keys_of_run() -> str:
    """The keys of `smule`."""
    return _described(_fields(RunConfig), _explanations(_SOURCES))


def keys_of_party() -> str:
    """The keys of the file of a party between hosts."""
    fields = [(key, field) for key, field in _fields(PartyConfig) if not key.startswith(_EXCEPT_OF_SIDES)]
    role = FieldInfo(annotation=Literal["a", "b"])  # type: ignore[arg-type]
    return _described([("role", role), *fields], _explanations(_SOURCES))


def keys_of_dealer() -> str:
    """The keys of the dealer's file."""
    return _described(_fields(DealerConfig), _explanations({"": ("side/dealer",), "launch": ("launch/default",)}))


def choices() -> str:
    """The files of each configuration group: what can be chosen by name."""
    lines = []
    for group in (*_GROUPS, "party_a/model", "party_b/model"):
        folder = resources.files("smule_crypten.conf").joinpath(group.rpartition("/")[2])
        names = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
        lines += textwrap.wrap(f"{group}: {', '.join(names)}", _WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def explain(key: str, explanations: dict[str, str]) -> str:
    """The words for a key; those of a party's section in a simulation are those of a party between hosts.

    Raises:
        KeyError: nothing explains it.
    """
    general = re.sub(r"^party_[ab]\.", "", re.sub(r"^party_[ab]\.data\.", "samples.", key))
    section, _, last = general.rpartition(".")
    if section in _SOURCES and section and last in _OF_A_CHOICE:
        return _OF_A_CHOICE[last].format(section=section)
    return explanations[general]


def _described(fields: Any, explanations: dict[str, str]) -> str:
    lines = []
    for key, field in fields:
        lines += textwrap.wrap(f"{key}: {_values(field)}", _WIDTH, subsequent_indent="    ")
        lines += textwrap.wrap(explain(key, explanations), _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _fields(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        inner = [kind for kind in _members(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if inner:
            yield from _fields(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _values(field: FieldInfo) -> str:
    """'best, last', 'whole number >= 1 or null'."""
    bounds = [
        f"{sign} {getattr(item, kind.__name__.lower())}"
        for item in field.metadata
        for kind, sign in _SHOWN.items()
        if isinstance(item, kind)
    ]
    *kinds, last = (_kind(member) for member in _members(field.annotation))
    text = f"{' or '.join(kinds)} {' and '.join(bounds)}".strip() if kinds else f"{last} {' and '.join(bounds)}".strip()
    return f"{text} or {last}" if kinds else text


def _kind(member: Any) -> str:
    origin = get_origin(member)
    if origin is Literal:
        return ", ".join(map(str, get_args(member)))
    if origin is tuple:
        return f"[{_kind(get_args(member)[0])}, ...]"
    return "key: value" if origin is dict else _KINDS[member]


def _explanations(sources: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Key -> the comment above it, or behind it, in the files of its section."""
    found: dict[str, str] = {}
    for section, files in sources.items():
        for file in files:
            text = resources.files("smule_crypten.conf").joinpath(f"{file}.yaml").read_text(encoding="utf-8")
            for key, comment in _comments(text):
                found.setdefault(f"{section}.{key}".lstrip("."), comment)
    return found


def _comments(text: str) -> Iterator[tuple[str, str]]:
    above: list[str] = []
    last = ""
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if line.lstrip().startswith("#"):
            above.append(line.strip("# "))
        elif match is None:
            above, last = [], ""
        else:
            if path and path[-1][0] != len(match[1]):
                last = ""
            path = [(indent, name) for indent, name in path if indent < len(match[1])] + [(len(match[1]), match[2])]
            behind = match[3].partition("  # ")[2]
            # Keys that follow each other without a comment between them share one.
            last = behind or " ".join(above) or last
            above = []
            if last:
                yield ".".join(name for _, name in path), last
