from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smule_crypten.errors import ConfigError, PeerTimeoutError, SmuleError
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import (
    DEALER,
    ENVIRONMENT_KEYS,
    LOOPBACK,
    ROLES,
    role_environment,
    role_from_environment,
    simulated_meeting,
)


@pytest.fixture
def keys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where throw-away keys are made during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
    return port


Rendezvous = Callable[[Path], str]
KINDS: list[Rendezvous] = [lambda folder: f"file://{folder}/store", lambda _: f"tcp://{LOOPBACK}:{free_port()}"]


def meet(role: str, *, with_dealer: bool, join_seconds: float = 10.0) -> dict[str, Link]:
    meeting = simulated_meeting(role, with_dealer=with_dealer, join_seconds=join_seconds, deadline_seconds=10.0)
    return meeting.meet()


def greet(role: str, links: dict[str, Link]) -> dict[str, str]:
    """Tell everybody who this is, hear who they say they are, and part."""
    for link in links.values():
        link.send_json(role)
    said = {name: link.receive_json()[0] for name, link in links.items()}
    for link in links.values():
        link.close()
    return said


@pytest.mark.parametrize("rendezvous", KINDS, ids=["file", "tcp"])
@pytest.mark.parametrize("with_dealer", [False, True], ids=["two", "three"])
def test_everybody_meets(
    rendezvous: Rendezvous, with_dealer: bool, keys_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: each process ends up with a link to each other one, under the right name; no key stays behind.

    Party a serves a tcp rendezvous, so it must not be gone before the slowest has read it.
    """
    monkeypatch.setenv("SMULE_RENDEZVOUS", rendezvous(tmp_path))
    roles = ROLES if with_dealer else ROLES[:2]
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda role: greet(role, meet(role, with_dealer=with_dealer)), roles))
    for role, heard in zip(roles, said, strict=True):
        assert heard == {other: other for other in roles if other != role}
    assert list(keys_folder.iterdir()) == []


@pytest.mark.parametrize("rendezvous", KINDS, ids=["file", "tcp"])
@pytest.mark.parametrize("role", ROLES)
def test_absence_is_a_timeout(
    role: str, rendezvous: Rendezvous, keys_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects: who waits alone is told who is missing, and leaves neither a key nor an open socket."""
    monkeypatch.setenv("SMULE_RENDEZVOUS", rendezvous(tmp_path))
    missing = ROLES[1] if role == ROLES[0] else ROLES[0]
    with pytest.raises(PeerTimeoutError, match=f"^{missing} did not come to .* within 0.2 seconds; start it, too$"):
        meet(role, with_dealer=True, join_seconds=0.2)
    assert list(keys_folder.iterdir()) == []


@pytest.mark.parametrize("rendezvous", ["", "file://", "/tmp/store", "http://host:1", "tcp://host", "tcp://host:x"])
def test_unusable_rendezvous(rendezvous: str, keys_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: a mistyped address is a matter of configuration, not of waiting."""
    monkeypatch.setenv("SMULE_RENDEZVOUS", rendezvous)
    with pytest.raises(ConfigError, match="RENDEZVOUS"):
        meet(ROLES[0], with_dealer=True)
    assert list(keys_folder.iterdir()) == []


def test_rendezvous_that_is_taken(keys_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: party a says that its port is taken, and does not wait for itself."""
    with socket.create_server((LOOPBACK, 0)) as server:
        monkeypatch.setenv("SMULE_RENDEZVOUS", f"tcp://{LOOPBACK}:{server.getsockname()[1]}")
        with pytest.raises(ConfigError, match=r"cannot serve SMULE_RENDEZVOUS=tcp://.*; choose another port"):
            meet(ROLES[0], with_dealer=False)
    assert list(keys_folder.iterdir()) == []


@pytest.mark.parametrize(("value", "role"), [("a", ROLES[0]), ("b", ROLES[1]), ("dealer", DEALER)])
def test_roles(value: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: a role is read as it is written, whatever torchrun says of the processes of one party."""
    assert role_environment(role, "file:///x") == {"SMULE_ROLE": value, "SMULE_RENDEZVOUS": "file:///x"}
    for key, text in {"RANK": "3", "WORLD_SIZE": "8", **role_environment(role, "file:///x")}.items():
        monkeypatch.setenv(key, text)
    assert role_from_environment() == role


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SMULE_ROLE": "a"}, "SMULE_RENDEZVOUS is not set"),
        ({}, "SMULE_ROLE, SMULE_RENDEZVOUS is not set; set SMULE_ROLE to a, b or dealer"),
        ({"RANK": "0", "WORLD_SIZE": "2", "RENDEZVOUS": "x"}, "SMULE_ROLE, SMULE_RENDEZVOUS is not set"),
        ({"SMULE_ROLE": "0", "SMULE_RENDEZVOUS": "x"}, "SMULE_ROLE=0: no such role"),
    ],
)
def test_unusable_environments(environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: each variable that is missing or has no meaning here is named."""
    for key in ENVIRONMENT_KEYS:
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SmuleError, match=message):
        role_from_environment()
