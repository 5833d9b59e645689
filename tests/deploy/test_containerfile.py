"""deploy/Containerfile: what matters of the rules that linters have, and that its steps make what they should."""

from __future__ import annotations

import configparser
import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from containerfile import PlainFolder, Stage, read_containerfile

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
ARGUMENTS, STAGES = read_containerfile(TEXT)
FINAL = STAGES[-1]


def copied() -> list[str]:
    """What the steps take from the repository."""
    return [
        source.rstrip("/")
        for stage in STAGES
        for one in stage.all("COPY")
        if "from" not in one.flags
        for source in one.words[:-1]
    ]


def violations(arguments: dict[str, str], stages: list[Stage]) -> list[str]:
    """Of hadolint's rules those that a mistake here would break, by their numbers; and what this project promises."""
    found = []
    for stage in stages:
        image = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match[1], ""), stage.image)
        if not re.search(r":[\w.-]+$|@sha256:", image) or image.endswith(":latest"):
            found.append(f"DL3006, DL3007: {image} has no tag that stays")
        for one in stage.instructions:
            if one.name == "ADD":
                found.append("DL3020: COPY in place of ADD")
            if one.name == "WORKDIR" and not one.text.startswith("/"):
                found.append(f"DL3000: {one.text}")
            if one.name in ("CMD", "ENTRYPOINT") and not one.text.startswith("["):
                found.append(f"DL3025: {one.text}")
            if one.name == "COPY" and one.flags.get("from") not in {None, *(other.name for other in stages)}:
                found.append(f"DL3022: {one.text}")
            if one.name == "RUN":
                found += _violations_of_run(one.text)
    users = stages[-1].all("USER")
    if not users or not re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1].text):
        found.append("DL3002: the last user is root, or has no number that a read-only mount can be given to")
    return found


def _violations_of_run(command: str) -> list[str]:
    found = []
    if re.search(r"\bsudo\b", command):
        found.append(f"DL3004: {command}")
    if re.match(r"cd\b", command):
        found.append(f"DL3003: {command}")
    if "|" in command.replace("||", ""):
        found.append(f"DL4006: {command}")
    if "pip install" in command and "--no-cache-dir" not in command:
        found.append(f"DL3042: {command}")
    if "pip install" in command and "-c constraints.txt" not in command:
        found.append(f"DL3013: {command}")
    if re.search(r"https?://\S*:\S*@|PASSWORD|TOKEN|SECRET", command):
        found.append(f"a secret: {command}")
    return found


def test_rules() -> None:
    assert violations(ARGUMENTS, STAGES) == []


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (":3.11.14-slim-bookworm", ":latest", "DL3006"),
        (":3.11.14-slim-bookworm", "", "DL3006"),
        ("--no-cache-dir -c constraints.txt .", "-c constraints.txt .", "DL3042"),
        (" -c constraints.txt .", " .", "DL3013"),
        ("USER 10001:10001\n", "", "DL3002"),
        ("USER 10001:10001", "USER root", "DL3002"),
        ('CMD ["smule-party", "--help"]', "CMD smule-party --help", "DL3025"),
        ("WORKDIR /runs", "WORKDIR runs", "DL3000"),
        ("COPY src/ src/", "ADD src/ src/", "DL3020"),
        ("--from=build", "--from=builder", "DL3022"),
        ("RUN python -m venv", "RUN cd / && python -m venv", "DL3003"),
    ],
)
def test_rules_are_seen_to_be_broken(before: str, after: str, rule: str) -> None:
    """The check itself."""
    assert before in TEXT
    assert any(found.startswith(rule) for found in violations(*read_containerfile(TEXT.replace(before, after))))


def test_what_is_copied_is_there_and_nothing_else_reaches_the_builder() -> None:
    """Keys and runs that lie in a working folder by mistake stay there."""
    ignore = (ROOT / "deploy" / "Containerfile.dockerignore").read_text().splitlines()
    first, *others = [line for line in ignore if line and not line.startswith("#")]
    assert first == "*"
    assert sorted(line[1:] for line in others if line.startswith("!")) == sorted(copied())
    for source in copied():
        assert (ROOT / source).exists(), source
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ("*.pem", "*.key", "runs*", ".*"))


def test_the_image_is_made_for_a_read_only_root() -> None:
    """What is written lies in volumes or below /tmp, and a stop is told to the process."""
    (volumes,) = FINAL.all("VOLUME")
    assert set(volumes.words) == {"/data", "/keys", "/runs"}
    (environment,) = FINAL.all("ENV")
    values = dict(word.partition("=")[::2] for word in environment.words)
    assert values["HOME"].startswith("/tmp")
    assert values["MPLCONFIGDIR"].startswith("/tmp/")
    assert FINAL.all("STOPSIGNAL")[0].text == "SIGTERM"
    assert FINAL.all("WORKDIR")[-1].text == "/runs"


@pytest.mark.slow
def test_steps_in_a_plain_folder(tmp_path: Path) -> None:
    """Each step does what it says, and at its end every command of the package is there and starts.

    Nothing is fetched: of what the package needs, what this interpreter has takes the place of downloads, in the
    versions of constraints.txt, or the test fails.
    """
    shims = tmp_path / "shims"
    shims.mkdir()
    if os.geteuid() != 0:
        (shims / "chown").write_text("#!/bin/sh\n")
        (shims / "chown").chmod(0o755)
    path = f"{shims}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    folder = PlainFolder(tmp_path / "image", ROOT, {"TORCH_INDEX": "https://nothing.invalid/simple"}, environment)
    (tmp_path / "image").mkdir()
    for stage in STAGES:
        for one in stage.instructions:
            folder.do(one)
            if one.text == "python -m venv /opt/smule":
                _lend_packages(folder.place("/opt/smule"))
    for name in ("data", "keys", "runs"):
        assert folder.place(f"/{name}").stat().st_mode & 0o777 == 0o700
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    scripts = [
        line.partition(" =")[0] for line in settings["options.entry_points"]["console_scripts"].split("\n") if line
    ]
    bin_folder = folder.place("/opt/smule/bin")
    assert [name for name in scripts if not (bin_folder / name).is_file()] == []
    own = subprocess.run(
        [bin_folder / "python", "-c", "import smule_crypten; print(smule_crypten.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder.place("/runs"),
    )
    assert Path(own.stdout.strip()).is_relative_to(tmp_path / "image")
    (command,) = FINAL.all("CMD")
    name, *arguments = command.words
    started = subprocess.run([bin_folder / name, *arguments], capture_output=True, text=True, cwd=folder.place("/runs"))
    assert started.returncode == 0, started.stderr
    assert "Runs one party between hosts" in started.stdout


def _lend_packages(environment: Path) -> None:
    """Let a virtual environment see the packages of this interpreter, but for pip in place of its own."""
    (packages,) = environment.glob("lib/python*/site-packages")
    for path in (*packages.glob("setuptools*"), *packages.glob("pkg_resources")):
        shutil.rmtree(path)
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "lent.pth").write_text("".join(f"{path}\n" for path in lent))
