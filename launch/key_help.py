"""What each key of a configuration means and which values it takes, for --help.

The words, values and defaults are those of the models. Nothing here computes, so nothing heavy is imported.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from smule_crypten.config.config_reading import leaves
from smule_crypten.config.dealer import DealerConfig
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.launch.groups import choices

_WIDTH = 80
TOPICS: dict[str, tuple[str, ...]] = {
    "Who and where": ("role", "output_dir", "connection"),
    "Data": ("task", "data", "features", "public_pool", "partition", "samples", "party_a.samples"),
    "Networks": ("model", "party_a.model"),
    "How to learn": ("metric", "training"),
    "What to ask, and what it may cost": ("exchange", "public_pool.num_queries", "joint_head"),
    "Protection and limits": (
        "disclosure",
        "party_a.disclosure",
        "terms",
        "audit",
        "training.alarm",
        "training.dp",
        "exchange.spot_checks",
        "exchange.spot_check_tolerance",
        "scheme",
        "provider",
        "randomness",
        "allow_insecure",
    ),
    "Comparison and simulation": ("simulation", "attack", "training.standalone"),
    "Prediction": ("predict",),
    "The machine": ("seed", "device", "compute", "launch"),
}
"""What a user wants to do -> the keys and sections for it; the longest that fits a key decides."""
_KINDS = {bool: "true, false", int: "whole number", float: "number", str: "text", NoneType: "null"}
_SHOWN = {Ge: ">=", Gt: ">", Le: "<=", Lt: "<"}
_NOT_OF_SIDES = ("partition.", "attack.", "allow_insecure", "randomness")
"""What a simulation tells its parties, and a side between hosts cannot choose."""
Keys = list[tuple[str, FieldInfo]]


def run_keys() -> Keys:
    """Those of `smule`; what party_b has besides is as in party_a."""
    return [(key, field) for key, field in leaves(RunConfig) if not key.startswith("party_b.")]


def party_keys() -> Keys:
    """Those of the file of a party between hosts."""
    return [(key, field) for key, field in leaves(PartyConfig) if not key.startswith(_NOT_OF_SIDES)]


def dealer_keys() -> Keys:
    """Those of the dealer's file."""
    return list(leaves(DealerConfig))


def topic_of(key: str) -> str:
    """The heading under which a key stands.

    Raises:
        KeyError: no topic speaks of it.
    """
    fitting = {
        start: topic for topic, starts in TOPICS.items() for start in starts if f"{key}.".startswith(f"{start}.")
    }
    if not fitting:
        raise KeyError(key)
    return fitting[max(fitting, key=len)]


def is_rare(field: FieldInfo) -> bool:
    """Whether few users set it."""
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("rare"))


def values_of(field: FieldInfo) -> str:
    """'best, last', 'whole number >= 1 or null'."""
    bounds = [
        f"{sign} {getattr(item, kind.__name__.lower())}"
        for item in field.metadata
        for kind, sign in _SHOWN.items()
        if isinstance(item, kind)
    ]
    *kinds, last = (_kind(member) for member in _members(field.annotation))
    text = f"{' or '.join(kinds) if kinds else last} {' and '.join(bounds)}".strip()
    return f"{text} or {last}" if kinds else text


def default_of(field: FieldInfo) -> str:
    """As a user would write it; empty where the key must be given."""
    if field.is_required():
        return ""
    value = field.default
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def by_topic(keys: Keys, everything: bool = False) -> str:
    """Each key under its heading; the rare ones, too, if everything is asked for."""
    parts = []
    for topic in TOPICS:
        of_topic = [(key, field) for key, field in keys if topic_of(key) == topic]
        shown = [(key, field) for key, field in of_topic if everything or not is_rare(field)]
        if shown:
            parts += ["", f"== {topic} ==", *described(shown)]
    return "\n".join(parts[1:])


def described(keys: Iterable[tuple[str, FieldInfo]]) -> Iterator[str]:
    """The lines that explain each key."""
    for key, field in keys:
        default = default_of(field)
        text = f"{key}: {values_of(field)}" + (f" ({default})" if default else "")
        yield from textwrap.wrap(text, _WIDTH, subsequent_indent="    ")
        yield from textwrap.wrap(field.description or "", _WIDTH, initial_indent="    ", subsequent_indent="    ")


def choices_of(groups: Iterable[str]) -> str:
    """The files of each configuration group: what can be chosen by name."""
    lines = []
    for group in groups:
        lines += textwrap.wrap(f"{group}: {', '.join(choices(group))}", _WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _kind(member: Any) -> str:
    origin = get_origin(member)
    if origin is Literal:
        return ", ".join(map(str, get_args(member)))
    if origin is Annotated:
        return _kind(get_args(member)[0])
    if origin is tuple:
        return f"[{_kind(get_args(member)[0])}, ...]"
    return "key: value" if origin is dict else _KINDS.get(member, "section")
