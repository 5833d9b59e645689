"""`smule-watch`: as a person starts, uses and ends it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from smule_crypten.launch.watch import main, parse
from smule_crypten.report.run_records import RunFacts, RunRecord
from smule_crypten.report.summary import write_summary

FACTS = RunFacts(
    run_id="one",
    scheme="two_party",
    randomness="fresh",
    insecure_choices=[],
    seed=0,
    epochs=3,
    versions={},
    hardware={},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a run that has just begun."""
    write_summary(tmp_path, RunRecord(facts=FACTS, data="digits", settings={}))
    return tmp_path


def test_it_prints_a_link_that_works_and_ends_when_told(folder: Path) -> None:
    """With 130, as all commands; no line of a log holds the link's secret."""
    command = [sys.executable, "-m", "smule_crypten.launch.watch", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        link = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/(\S+)/)\n", process.stdout.readline())
        assert link is not None
        with urllib.request.urlopen(link[1], timeout=30) as answer:
            page = answer.read().decode()
        assert "No epoch is finished yet." in page
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
        rest = process.stdout.read() + process.stderr.read()
    assert link[2] not in rest
    assert rest.endswith("smule: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["nowhere"], 3, "nowhere holds no summary.json; give the folder of a run"),
        ([".", "--port=70000"], 2, "cannot listen on 127.0.0.1, port 70000"),
        ([".", "--expose-record-on=example.org"], 2, "'example.org' is no IP address"),
        ([".", "--expose-record-on=192.0.2.7"], 2, "cannot listen on 192.0.2.7, port 0"),
    ],
)
def test_mistakes_have_one_line_and_a_code(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    line: str,
) -> None:
    """As docs/exit-codes.md says them."""
    monkeypatch.chdir(folder)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    signal.signal(signal.SIGTERM, handler)
    assert ended.value.code == code
    error = capsys.readouterr().err
    assert error.startswith("smule: error: ")
    assert line in error
    assert error.count("\n") == 1


def test_help_says_what_is_exposed(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anybody asks for it; without the flag it is loopback."""
    assert parse(["run"]).expose_record_on == "127.0.0.1"
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "sees what the party keeps for itself" in text
    assert "since nothing protects the page on its way" in text
