"""docs/deployment.md: its tables are those of the code, and each command that can be run here is run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from smule_crypten.audit.events import Exchanged
from smule_crypten.audit.log import GENESIS, opened_log, read_log
from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.errors import PeerTimeoutError, StatusError
from smule_crypten.launch import audit, status
from smule_crypten.party import run_folder
from smule_crypten.report.journal import JOURNAL_FILE
from smule_crypten.status.keeper import kept_status
from smule_crypten.status.record import Phase, Status
from smule_crypten.status.verdict import DEFAULT_STALE_AFTER_SECONDS, WELL, Health
from smule_crypten.transport.endpoint import Address

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def commands(name: str) -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(f"{name} ")]


def rows_below(*headings: str) -> list[list[str]]:
    """Cells of the table with this row of headings."""
    lines = PAGE.partition(f"| {' | '.join(headings)} |\n")[2].splitlines()[1:]
    rows = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def named(text: str) -> list[str]:
    return re.findall(r"`(\w+)`", text)


def test_keys_and_phases_are_those_of_the_code() -> None:
    keys = [name for row in rows_below("Key", "What it is") for name in named(row[0])]
    assert keys == list(Status.model_fields)
    assert [named(row[0]) for row in rows_below("Phase", "What goes on")] == [[phase] for phase in get_args(Phase)]


def test_health_is_that_of_the_code() -> None:
    rows = rows_below("Health", "Meaning", "Exit code")
    assert [named(row[0]) for row in rows] == [[health] for health in get_args(Health)]
    for name, _, code in rows:
        assert int(code) == (0 if name.strip("`") in WELL else StatusError.exit_code)
    assert f"({DEFAULT_STALE_AFTER_SECONDS:,.0f} unless given)" in PAGE


def test_status_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the page, on a run that is going on and on one that failed."""
    folder = tmp_path / "first-run" / "party_a"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    calls = commands("smule-status")
    assert len(calls) == 3
    with kept_status(folder, "a", epochs=3):
        assert [_exit_code(call, monkeypatch) for call in calls] == [0, 0, 0]
        printed = capsys.readouterr().out
        assert printed.count("first-run/party_a: running") == 2
        assert printed.count('"health": "running"') == 1
    with pytest.raises(PeerTimeoutError), kept_status(folder, "a", epochs=3):
        raise PeerTimeoutError("party b is silent")
    assert [_exit_code(call, monkeypatch) for call in calls] == [16, 16, 16]


def _exit_code(call: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", call)
    with pytest.raises(SystemExit) as ended:
        status.main()
    return ended.value.code


def exchanged(number: int) -> Exchanged:
    return Exchanged(exchange=number, asked=3, answered=4, public_asked=0, public_answered=0, dropped=0)


def test_an_audit_log_is_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the page says it: the old one verifies by itself and has its last line, and a new one begins."""
    monkeypatch.chdir(tmp_path)
    path = Path("audit.jsonl")
    with opened_log(path, "a") as log:
        log.append(exchanged(1))
    digest = read_log(path).digest
    (block,) = (block for block in blocks("sh") if block.startswith("smule-doctor audit"))
    for line in block.splitlines():
        words = shlex.split(line.replace("$DIGEST", digest))
        if words[0] == "mv":
            assert digest in capsys.readouterr().out  # where a reader finds what is to be noted
            shutil.move(words[1], words[2])
        else:
            with pytest.raises(SystemExit) as ended:
                audit.main(words[2:])
            assert ended.value.code == 0
    with opened_log(path, "a") as log:
        log.append(exchanged(2))
    (line_of_new,) = read_log(path).lines
    assert (line_of_new.number, line_of_new.previous) == (1, GENESIS)


@pytest.mark.parametrize(("codes", "calls"), [([6, 6, 0], 3), ([6, 11, 0], 2), ([0], 1)])
def test_the_loop_ends_where_another_try_is_of_no_use(codes: list[int], calls: int, tmp_path: Path) -> None:
    """The page's own loop, with a command in place of docker that ends with these codes in turn."""
    (loop,) = (block for block in blocks("sh") if block.startswith("until "))
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    script = f"""
sleep() {{ :; }}
docker() {{ echo "$@" >> calls; code=$(head -n 1 codes); sed -i 1d codes; return "$code"; }}
{loop}"""
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True)
    made = (tmp_path / "calls").read_text().splitlines()
    assert len(made) == calls
    assert set(made) == {"compose -f deploy/compose.yaml --profile a up --exit-code-from party-a party-a"}


def test_files_of_the_repository_are_there() -> None:
    """What a command of the page takes from deploy/."""
    named_files = {word for block in blocks("sh") for word in block.split() if word.startswith("deploy/")}
    assert len(named_files) == 5
    assert [name for name in named_files if not (ROOT / name).is_file()] == []


def test_tunnels_are_understood() -> None:
    """ssh says what it would do, without a connection; both ends of the tunnel meet at one address of the relay."""
    ssh = shutil.which("ssh")
    if ssh is None:
        pytest.skip("ssh is not installed here")
    calls = commands("ssh")
    assert len(calls) == 2
    understood = []
    for call in calls:
        done = subprocess.run([ssh, "-G", *call[1:]], capture_output=True, text=True, check=True)
        understood.append(done.stdout.splitlines())
    assert "remoteforward [127.0.0.1]:7701 [127.0.0.1]:7701" in understood[0]
    assert "localforward [127.0.0.1]:7701 [127.0.0.1]:7701" in understood[1]
    for lines in understood:
        assert {"hostname relay.example", "user tunnel", "exitonforwardfailure yes"} <= set(lines)


def test_settings_in_the_text_exist() -> None:
    """Addresses that the page has a side set are taken, and are those of both sides."""
    settings = re.findall(r"`(connection\.[\w.]+)=([\d.:]+)`", PAGE)
    assert len(settings) == 4
    for (listen, here), (address, there) in zip(settings[::2], settings[1::2], strict=True):
        assert (listen, address) == ("connection.listen", "connection.peer.address")
        assert Address.parse(here, listen) == Address.parse(there, address)
        ConnectionConfig.model_validate(
            {"certificate": "c", "key": "k", "listen": here, "peer": {"certificate": "p", "address": there}}
        )


def test_what_grows_is_named_as_the_code_names_it() -> None:
    """Each file with a rule of its own is one that a run writes."""
    files = [name for row in rows_below("File", "Grows by", "Rotate") for name in re.findall(r"`([\w.]+)/?`", row[0])]
    known = {value for name, value in vars(run_folder).items() if name.endswith(("_FILE", "_FOLDER"))} | {JOURNAL_FILE}
    assert set(files) - known == {"audit.path", "disclosure.ledger"}
    logged = {run_folder.LOG_FILE, run_folder.AUDIT_FILE, run_folder.LEDGER_FILE, JOURNAL_FILE}
    assert set(files) & known == logged | {run_folder.STATES_FOLDER, run_folder.TENSORBOARD_FOLDER}
