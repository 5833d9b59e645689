"""YAML as people write it, a file or key=value: where a key stands, and in one line what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smule_crypten.errors import ConfigError, quoted
from smule_crypten.launch.groups import GROUPS_OF_A_PARTY

# What YAML's reader and its constructors of tagged values end with, beside their own errors.
_UNREADABLE = (
    yaml.YAMLError,
    OmegaConfBaseException,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RecursionError,
)
_COMMAND_LINE = "command line"


@dataclass(frozen=True)
class SideSettings:
    """What one side says: its file, and over it what stands on the command line.

    lines: the line of each key of the file, in dotted form. overrides: those of the command line, as given there.
    """

    path: Path
    in_file: DictConfig
    lines: dict[str, int]
    overrides: list[str]

    def where(self, key: str) -> str:
        """'side.yaml, line 7: ' for a key in dotted form, or the nearest section around it that was written."""
        is_set = any(_is_within(key, other) for other in self._keys(choosing=False))
        if is_set or (key not in self.lines and any(_is_within(key, other) for other in self._keys(choosing=True))):
            return f"{_COMMAND_LINE}: "
        if key not in self.lines and any(_is_within(other, key) for other in self._keys(choosing=False)):
            return f"{_COMMAND_LINE}: "
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            line = self.lines.get(".".join(parts[:length]))
            if line is not None:
                return f"{self.path}, line {line}: "
        return f"{self.path}: "

    def _keys(self, *, choosing: bool) -> list[str]:
        """What the command line sets, or of which group it chooses a file, over which this side's file lies."""
        pairs = [override.lstrip("+~").partition("=")[::2] for override in self.overrides]
        is_choice = {key: key in GROUPS_OF_A_PARTY and not value.startswith("{") for key, value in pairs}
        return [key for key, chooses in is_choice.items() if chooses is choosing]


def read_settings(path: Path, overrides: list[str]) -> SideSettings:
    """Read the file and the overrides.

    Raises:
        ConfigError: one of them cannot be read; names the line, or the override.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded: Any = OmegaConf.create(text) if isinstance(node, yaml.MappingNode) else None
        lines = dict(_lines(node, ""))
    except _UNREADABLE as error:
        raise ConfigError(f"{path}{_place(error, text)}: this is no YAML: {_problem(error)}") from None
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path} holds no keys; see docs/two-hosts.md for an example")
    return SideSettings(path, loaded, lines, overrides)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _lines(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            name = f"{prefix}{key.value}"
            yield name, key.start_mark.line + 1
            yield from _lines(value, f"{name}.")


def _is_within(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _place(error: Exception, text: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return f", line {mark.line + 1}"
    if isinstance(error, yaml.reader.ReaderError):
        return f", line {text.count(chr(10), 0, error.position) + 1}"
    return ""


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError):
        said = [part for part in (error.context, error.problem) if part]
        return " ".join(", ".join(said).split())
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {quoted(chr(error.character) if isinstance(error.character, int) else error.character)}"
    return " ".join(str(error).split())
