"""One certificate for two roles would let its owner take both places."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from doctor_sides import side, write_sides

from smule_crypten.errors import ConfigError
from smule_crypten.launch.side_file import read_dealer
from smule_crypten.party.links import meet_others, meeting_of_dealer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sides(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("copied", "over", "keys"),
    [
        ("hospital-a", "dealer", "connection.peer.certificate and connection.dealer.certificate"),
        ("hospital-b", "hospital-a", "connection.certificate and connection.peer.certificate"),
    ],
)
def test_a_party_refuses(copied: str, over: str, keys: str, folder: Path) -> None:
    """Party b is told which two of its settings show the same certificate, though the files have different names."""
    shutil.copy(folder / f"{copied}.crt.pem", folder / f"{over}.crt.pem")
    with pytest.raises(ConfigError, match=f"^{keys} are the same certificate, that of {copied}; "):
        meet_others(side(folder, "b"))


def test_a_dealer_refuses(folder: Path) -> None:
    """A dealer for two parties that are one would deal to whoever can put its randomness together."""
    setting = f"party_b={folder / 'hospital-a.crt.pem'}"
    with pytest.raises(ConfigError, match=r"^party_a and party_b are the same certificate, that of hospital-a"):
        meeting_of_dealer(read_dealer([f"+dealer={folder / 'dealer.yaml'}", setting]))
