"""`smule-init` writes files of all sides that the other commands read, and that agree with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from smule_crypten.launch.init import main
from smule_crypten.launch.side_file import read_dealer, read_party


def _call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_files_of_all_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is read by its command; what both must agree on is equal, and each finds the others."""
    chosen = ["--a", "north", "--b", "south", "--dealer", "trustee", "--a-address", "north.example:8801"]
    chosen += [
        "--dealer-address",
        "[2001:db8::1]:8802",
        "--class-names",
        "no, yes",
        "--epochs",
        "12",
        "--queries",
        "50",
    ]
    assert _call(*chosen, "--dir", str(tmp_path)) == 0
    assert "smule-keys init" in capsys.readouterr().out
    a, b = (read_party([f"+party={tmp_path / name}.yaml"]) for name in ("north", "south"))
    dealer = read_dealer([f"+dealer={tmp_path / 'trustee.yaml'}"])
    assert (a.name, b.name) == ("a", "b")
    assert a.exchange.terms == b.exchange.terms
    assert a.terms == b.terms == str(tmp_path / "terms-north-south.json")
    assert (a.training.epochs, b.training.epochs, a.exchange.num_queries) == (12, 12, 50)
    assert a.data.options["class_names"] == ["no", "yes"]
    assert a.connection is not None
    assert b.connection is not None
    assert (a.connection.listen, b.connection.peer.address) == ("0.0.0.0:8801", "north.example:8801")
    assert dealer.listen == "0.0.0.0:8802"
    assert a.connection.dealer == b.connection.dealer
    assert a.connection.dealer is not None
    assert a.connection.dealer.address == "[2001:db8::1]:8802"
    assert (dealer.party_a, dealer.party_b) == (a.connection.certificate, b.connection.certificate)
    assert (a.connection.peer.certificate, b.connection.peer.certificate) == (
        b.connection.certificate,
        a.connection.certificate,
    )


def test_two_parties_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no dealer is named, there are two files, of a scheme that needs none, and nothing speaks of a third."""
    assert _call("--dir", str(tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hospital-a.yaml", "hospital-b.yaml"]
    assert "dealer" not in capsys.readouterr().out
    for name in ("hospital-a", "hospital-b"):
        side = read_party([f"+party={tmp_path / name}.yaml"])
        assert (side.scheme.name, side.needs_dealer) == ("two_party", False)


def test_files_for_a_table(tmp_path: Path) -> None:
    """They name the schema, without which no party takes a table."""
    assert _call("--data", "table", "--dir", str(tmp_path)) == 0
    a = read_party([f"+party={tmp_path / 'hospital-a'}.yaml"])
    assert a.data.path == str(tmp_path / "hospital-a.csv")
    assert a.data.options == {"schema_file": str(tmp_path / "schema.yaml")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--a-address", "north.example"], "--a-address: 'north.example' is no address; write host:port"),
        (["--a-address", "north.example:70000"], "is no address"),
        (["--a", "../north"], "--a: '../north' is no name of a file"),
        (["--a", "hospital-b"], "two have the same name"),
        (["--dealer-address", "dealer.example:7702"], "--dealer-address: name the dealer, too, with --dealer"),
        (["--dealer", "hospital-a"], "two have the same name"),
        (["--data", "table", "--class-names", "no,yes"], "--class-names: classes of a table are in its schema"),
        (["--epochs", "0"], "--epochs: '0' is no whole number of at least 1"),
        (["--data", "csv"], "--data: 'csv' is no kind of data; known: "),
        (["--class-names", "one"], "needs two or more different names"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to write, exit code 2, and nothing is written."""
    assert _call(*arguments, "--dir", str(tmp_path)) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody may have completed it."""
    (tmp_path / "hospital-b.yaml").write_text("mine")
    assert _call("--dir", str(tmp_path)) == 5
    assert "hospital-b.yaml exists already" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_person_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not given; after a mistake once more, and an empty answer is the default."""
    answers = iter(["", "nonsense", "a.example:1234", *[""] * 6])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda text: next(answers))
    assert _call("--b", "south", "--dir", str(tmp_path)) == 0
    assert list(answers) == []
    b = read_party([f"+party={tmp_path / 'south.yaml'}"])
    assert b.connection is not None
    assert b.connection.peer.address == "a.example:1234"
