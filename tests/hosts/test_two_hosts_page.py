"""docs/two-hosts.md: its files are valid, and its commands work as they are written."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.launch import audit, doctor, keys, predict, table, terms
from smule_crypten.launch.side_file import read_dealer, read_party
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.party.inputs import public_configuration
from smule_crypten.tables.schema_file import read_schema
from smule_crypten.transport.credentials import load_certificate, load_identity

PAGE = (Path(__file__).parents[2] / "docs" / "two-hosts.md").read_text(encoding="utf-8")
LAST_SECTION = PAGE.rpartition("\n## ")[2]


def blocks(language: str, text: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(name: str) -> list[list[str]]:
    """The arguments of every call of a command that stands at the start of a line or after `until`."""
    lines = [line.removeprefix("until ").removesuffix("; do") for block in blocks("sh") for line in block.splitlines()]
    calls = [shlex.split(line, comments=True) for line in lines if line.startswith(f"{name} ")]
    return [call[1:] for call in calls if not any("$" in word for word in call)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, and the keys that its commands make."""
    monkeypatch.chdir(tmp_path)
    for text in (*blocks("yaml"), *blocks("python")):
        name = text.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(text)
    for arguments in commands("smule-keys"):
        keys.main(arguments)
    return tmp_path


def add_the_dealer(folder: Path) -> None:
    """What the section on the dealer adds to the files of both parties."""
    added = yaml.safe_load((folder / "with-a-dealer.yaml").read_text())
    for role in "ab":
        path = folder / f"hospital-{role}.yaml"
        side = yaml.safe_load(path.read_text())
        side["scheme"] = added["scheme"]
        side["connection"] |= added["connection"]
        path.write_text(yaml.safe_dump(side))


@pytest.mark.parametrize("with_dealer", [False, True])
def test_files_are_valid_and_fit_together(with_dealer: bool, folder: Path) -> None:
    """What a reader copies is accepted, and both sides agree on all that is compared; with a dealer, too."""
    if with_dealer:
        add_the_dealer(folder)
    sides = [read_party([f"+party=hospital-{role}.yaml"]) for role in "ab"]
    assert {side.needs_dealer for side in sides} == {with_dealer}
    dealer = read_dealer(["+dealer=dealer.yaml"])
    first, second = (
        ProtocolConfig.from_party(side, (1, 8, 8), 10, tuple(side.data.options["class_names"]), {}) for side in sides
    )
    assert first == second
    for side in sides:
        assert side.connection is not None
        load_identity(Path(side.connection.certificate), Path(side.connection.key))
        load_certificate(Path(side.connection.peer.certificate))
        if with_dealer:
            assert side.connection.dealer is not None
            load_certificate(Path(side.connection.dealer.certificate))
            assert side.connection.dealer.address.rpartition(":")[2] == dealer.listen.rpartition(":")[2]
        assert side.disclosure.max_answers_total is not None
        assert (
            len(exchange_epochs(side.exchange, side.training.epochs)) * (side.exchange.num_queries or 0)
            == 1600
            <= side.disclosure.max_answers_total
        )
    load_identity(Path(dealer.certificate), Path(dealer.key))


READERS: dict[str, Callable[[list[str]], object]] = {
    "smule-party": read_party,
    "smule-predict": lambda arguments: read_party(predict.split_files(arguments)[1]),
    "smule-estimate": read_party,
    "smule-doctor": lambda arguments: (
        audit.parse(arguments[1:]) if arguments[0] == "audit" else read_party(doctor.parse(arguments).settings)
    ),
    "smule-dealer": read_dealer,
}


@pytest.mark.parametrize("name", READERS)
def test_commands_are_understood(folder: Path, name: str) -> None:
    """No command of the page asks for a file, a key or an option that does not exist."""
    calls = commands(name)
    assert calls
    for arguments in calls:
        READERS[name](arguments)


def test_terms_are_signed_as_the_page_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own commands in its own order: one side proposes, both read and sign, both may run."""
    runpy.run_path(str(folder / "make_digits.py"))
    calls = commands("smule-terms")
    assert [call[0] for call in calls] == ["propose", "show", "sign", "sign", "verify", "verify"]
    for call in calls:
        with pytest.raises(SystemExit) as ended:
            terms.main(call)
        assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "Purpose. Triage of chest radiographs, study 12" in printed
    assert "Its network answers about at most 2,000 in all that one ledger counts, about at most 200 in one" in printed
    assert printed.count("APPROVED by both") == 2
    for role in "ab":
        with pytest.raises(SystemExit) as ended:
            terms.main(["verify", f"+party=hospital-{role}.yaml", "exchange.every=2"])
        assert ended.value.code == 15
        assert "protocol.exchange.every: 4 in the terms, 2 at this side" in capsys.readouterr().err


@pytest.mark.parametrize("setting", re.findall(r"`([\w.]+=[\w.]+)`", PAGE))
def test_settings_in_the_text_exist(folder: Path, setting: str) -> None:
    """A setting that the text recommends can be set."""
    if setting.startswith("runs="):
        read_dealer(["+dealer=dealer.yaml", setting])
    else:
        assert isinstance(read_party(["+party=hospital-a.yaml", setting]), PartyConfig)


TABLE = """\
patient,clinic,age,pressure,smoker,diagnosis
p1,north,45,120,no,benign
p2,east,,141.5,yes,malignant
p3,south,71,118,no,benign
"""


def test_the_table_of_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its commands draft a schema, which the page's own one completes, and check a table by it."""
    (folder / "hospital-a.csv").write_text(TABLE)
    for arguments in commands("smule-table"):
        with pytest.raises(SystemExit) as ended:
            table.main(arguments)
        assert ended.value.code == 0
    assert "hospital-a.csv fits: 3 rows, 4 columns; classification: benign, malignant" in capsys.readouterr().out
    drafted = yaml.safe_load((folder / "draft.yaml").read_text())["columns"]
    used = {column.name: column.kind for column in read_schema(folder / "schema.yaml").columns}
    assert {column["name"] for column in drafted} == set(used)


def test_two_sides_with_a_table_agree(folder: Path) -> None:
    """The page's section stands in place of the images' one; both parties then have the same public configuration."""
    section = yaml.safe_load((folder / "data-of-a-table.yaml").read_text())
    found = []
    for role, rows in {"a": TABLE, "b": TABLE.replace("east", "west").replace("45", "46")}.items():
        (folder / f"hospital-{role}.csv").write_text(rows)
        path = folder / f"hospital-{role}.yaml"
        side = yaml.safe_load(path.read_text())
        side["data"] = section["data"] | {"path": f"hospital-{role}.csv"}
        side["model"] = {"name": "mlp"}
        side["data"]["options"]["test_fraction"] = 0.5
        path.write_text(yaml.safe_dump(side))
        config = read_party([f"+party=hospital-{role}.yaml"])
        found.append(public_configuration(config, load_data(config.data)))
    assert found[0] == found[1]
    assert found[0].data.columns["clinic"].startswith("4. ")


@pytest.mark.slow
def test_on_one_machine(folder: Path) -> None:
    """The last section runs as it is written: keys, doctors, both parties, and nobody else."""
    for path in (*folder.glob("*.pem"), folder / "dealer.yaml"):
        path.unlink()
    (script,) = blocks("sh", LAST_SECTION)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail\n{script}"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok       agreement") == 2
    assert "APPROVED by both" in done.stdout
    assert "VERIFIED: all" in done.stdout
    assert "FAILED" not in done.stdout
    for role in "ab":
        assert (folder / "first-run" / f"party_{role}" / "model.pt").is_file()
        summary = json.loads((folder / "first-run" / f"party_{role}" / "summary.json").read_text())
        # A reader would take less for a fault of the program.
        assert summary["parties"][role]["test_accuracy"] > 0.8
    assert (folder / "predictions.npz").is_file()
