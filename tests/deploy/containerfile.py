"""Reading a Containerfile, and doing in a plain folder what it says, without anything that builds containers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """name in capitals. flags: those of its beginning, without the dashes. text: what stands behind them."""

    name: str
    flags: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """Of a list as JSON, its entries; else what blanks part."""
        values = json.loads(self.text) if self.text.startswith("[") else self.text.split()
        assert isinstance(values, list)
        return values


@dataclass(frozen=True, kw_only=True)
class Stage:
    image: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [one for one in self.instructions if one.name == name]


def read_containerfile(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first stage, with their defaults, and the stages."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in filter(None, map(str.strip, re.sub(r"\\\n\s*", "", lines).splitlines())):
        name, _, rest = line.partition(" ")
        flags = dict(re.findall(r"^--(\w+)=(\S+) ", rest))
        one = Instruction(name=name, flags=flags, text=re.sub(r"^(--\w+=\S+ )*", "", rest))
        if name == "FROM":
            image, _, alias = one.text.partition(" AS ")
            stages.append(Stage(image=image, name=alias or None))
        elif not stages:
            assert name == "ARG", line
            key, _, value = one.text.partition("=")
            arguments[key] = value
        else:
            stages[-1].instructions.append(one)
    return arguments, stages


class PlainFolder:
    """The file system of all stages in one, below root. Paths of the Containerfile become those below it.

    Args:
        context: from where files are copied.
        arguments: in place of the defaults of ARG.
        environment: of the commands.
    """

    def __init__(self, root: Path, context: Path, arguments: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._root, self._context = root, context
        self._variables = dict(arguments)
        self._environment = dict(environment)
        self._folder = "/"

    def place(self, path: str) -> Path:
        """Where a path of the image lies."""
        return self._root / os.path.join(self._folder, path).lstrip("/")

    def do(self, one: Instruction) -> None:
        """What changes the file system is done; what only describes the image is not."""
        match one.name:
            case "ARG":
                key, _, default = one.text.partition("=")
                self._variables.setdefault(key, default)
            case "WORKDIR":
                self._folder = one.text
                self.place("").mkdir(parents=True, exist_ok=True)
            case "COPY" if "from" in one.flags:
                source, target = one.words
                assert source == target, "all stages are one folder here"
                assert self.place(source).exists()
            case "COPY":
                *sources, target = one.words
                for source in sources:
                    self._copy(source, target)
            case "RUN":
                self.run(one.text)

    def run(self, command: str) -> str:
        """Its output. Variables are put in, and each absolute path is led below root."""
        for key, value in self._variables.items():
            command = command.replace(f"${{{key}}}", value)
        command = re.sub(r"(?<=\s)/(?=\w)|^/(?=\w)", f"{self._root}/", command)
        done = subprocess.run(
            ["sh", "-ec", command], cwd=self.place(""), env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _copy(self, source: str, target: str) -> None:
        """As COPY does: of a folder what is in it, links as they are; a file into a folder where target is one."""
        found, there = self._context / source, self.place(target)
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(found, there, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copy(found, there / found.name if target.endswith("/") else there)
