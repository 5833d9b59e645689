"""deploy/systemd and deploy/logrotate: units that systemd accepts, hardened, and that retry what may be retried."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from guide_files import ROOT, write_guide_files

from smule_crypten.launch import status
from smule_crypten.launch.side_file import read_dealer, read_party
from smule_crypten.party.run_folder import LOG_FILE

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("smule-party", "smule-dealer", "smule-status")
RUNNING = SERVICES[:2]
PREFIX = "/opt/smule/bin/"
EXPOSURE = 25
"""Of systemd's points for what a service could do to its host, from 0 to 100, the most that is accepted for those that
run: it calls so much OK."""


def unit(name: str) -> configparser.SectionProxy:
    """The section [Service]. No key stands twice: the parser would refuse that."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(UNITS / f"{name}.service", encoding="utf-8")
    return parser["Service"]


def documented_codes() -> set[int]:
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    return {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}


@pytest.mark.parametrize("name", RUNNING)
def test_only_what_may_be_retried_is(name: str) -> None:
    """Each exit code is retried, refused, or success. A kill has none, and is retried."""
    service = unit(name)
    assert service["Restart"] == "on-failure"
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}
    succeeded = {0, int(service["SuccessExitStatus"])}
    assert prevented | succeeded == documented_codes() - {6}
    assert not prevented & succeeded
    assert int(service["SuccessExitStatus"]) == 130


@pytest.mark.parametrize("name", RUNNING)
def test_hardening(name: str) -> None:
    """What the page promises; the folder that may be written is the one that the command writes."""
    service = unit(name)
    expected = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes"}
    expected |= {"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "CapabilityBoundingSet": "", "UMask": "0077"}
    assert {key: service[key] for key in expected} == expected
    assert service["User"] not in ("", "root")
    (output,) = re.findall(r"output_dir=(\S+)", service["ExecStart"])
    assert Path(output).is_relative_to(service["ReadWritePaths"])
    assert service["WorkingDirectory"] == service["ReadWritePaths"]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with the commands of this environment."""
    for path in UNITS.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace(PREFIX, f"{Path(sys.executable).parent}/"))
    return tmp_path


@pytest.fixture
def analyze() -> str:
    """systemd's own judgement, where it is installed; it need not run."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed here")
    return found


def test_systemd_accepts_the_units(installed: Path, analyze: str) -> None:
    """No key is unknown or misspelt, and each command is a program."""
    units = sorted(str(path) for path in installed.iterdir() if path.suffix in (".service", ".timer"))
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, cwd=installed)
    ours = [line for line in done.stderr.splitlines() if str(installed) in line or "smule" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", RUNNING)
def test_systemd_calls_them_hardened(name: str, installed: Path, analyze: str) -> None:
    options = ["security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}"]
    done = subprocess.run([analyze, *options, f"{name}.service"], capture_output=True, text=True, cwd=installed)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges installed units only")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_commands_are_understood(tmp_path: Path) -> None:
    """No command asks for a key or an option that does not exist."""
    write_guide_files(tmp_path)
    (tmp_path / "hospital-a.yaml").rename(tmp_path / "side.yaml")
    for name, read in (("smule-party", read_party), ("smule-dealer", read_dealer)):
        command, *arguments = unit(name)["ExecStart"].replace("=/etc/smule/", f"={tmp_path}/").split()
        assert command == f"{PREFIX}{name}"
        assert read(arguments).output_dir.startswith("/var/lib/smule/runs")
    command, *arguments = unit("smule-status")["ExecStart"].split()
    assert command == f"{PREFIX}smule-status"
    assert f"output_dir={status.parse(arguments).folder}" in unit("smule-party")["ExecStart"].split()


def test_only_a_dealer_may_not_write_what_it_executes() -> None:
    """torch makes code for a party; that a dealer needs none, tests/hosts shows."""
    assert unit("smule-dealer")["MemoryDenyWriteExecute"] == "yes"
    assert "MemoryDenyWriteExecute" not in unit("smule-party")


LOGROTATE = (ROOT / "deploy" / "logrotate" / "smule").read_text(encoding="utf-8")


def test_the_log_alone_is_rotated() -> None:
    """Neither an audit log nor a ledger nor a record, whatever the names of runs; and never by copying."""
    head, _, rest = "\n".join(line for line in LOGROTATE.splitlines() if line[:1] != "#").partition("{")
    patterns = head.split()
    assert patterns == [f"/var/lib/smule/runs/*/party_{role}/{LOG_FILE}" for role in "ab"]
    directives = [line.split()[0] for line in rest.strip(" \n}").splitlines()]
    assert not {"copytruncate", "copy", "nocreate"} & set(directives)
    assert "    create 0600 smule smule\n" in rest


def test_logrotate_understands_it(tmp_path: Path) -> None:
    """Where it is installed."""
    program = shutil.which("logrotate")
    if program is None:
        pytest.skip("logrotate is not installed here")
    (tmp_path / "smule").write_text(LOGROTATE.replace("    su smule smule\n", "").replace("0600 smule smule", "0600"))
    (tmp_path / "smule").chmod(0o644)
    done = subprocess.run([program, "-d", str(tmp_path / "smule")], capture_output=True, text=True)
    assert done.returncode == 0
    assert "error" not in done.stderr
