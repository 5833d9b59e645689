"""The logs of a run at level debug: one line an event, and nothing that is secret in any of them."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hosts_folders import NAMES, PEER, Folders
from hosts_network import ROLES, Network
from hosts_run import RUN_SECONDS, HostRun
from hosts_spy import Spy

_LOG_LINE = re.compile(
    r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(\w+) source=(smule_crypten\.[\w.]+) event=(".*")'
)
_PROGRESS_LINE = re.compile(
    r"[ab] (alone|SMuLe), epoch \d/\d: .*|party [ab]: test accuracy .*|\d+ exchanges of at most .*"
    r"|party [ab] answers at most .*"
)


@dataclass(frozen=True)
class Watched:
    """A run at level debug: what each role logged, and the secrets of all of them by what they are."""

    logs: dict[str, str]
    secrets: dict[str, set[bytes]]


@pytest.fixture(scope="module")
def watched(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folders = Folders(tmp_path_factory.mktemp("watched"), network, launch__log_level="debug")
    with HostRun(network, folders) as run:
        run.start(instruments={role: Spy() for role in ROLES})
        seen = [process.receive(RUN_SECONDS) for process in run.processes.values()]
        assert run.wait() == dict.fromkeys(ROLES, 0), run.logs()
        logs = {role: process.log_path.read_bytes().decode("latin-1") for role, process in run.processes.items()}
    return Watched(logs, _secrets(folders, seen))


def _secrets(folders: Folders, seen: list[dict[str, list[bytes]]]) -> dict[str, set[bytes]]:
    secrets = {
        "stream key": {written for kept in seen for key in kept["keys"] for written in _bytes_written(key)},
        "share": {written for kept in seen for tensor in kept["tensors"] for written in _ring_written(tensor)},
        "private key": {line for role in ROLES for line in _key_lines(folders.folder(role) / f"{NAMES[role]}.key.pem")},
        "weight": set(),
        "input": set(),
        "label": set(),
    }
    for role in PEER:
        for path in (*folders.output(role).glob("*.pt"), folders.output(role) / "states/exchange_3.pt"):
            secrets["weight"] |= _weights_written(path)
        with np.load(folders.folder(role) / "data.npz") as data:
            for row in data["x_train"][:8].reshape(-1, 8):
                secrets["input"] |= _row_written(row)
            secrets["label"] |= _sequence_written([int(label) for label in data["y_train"][:12]])
    return secrets


def _bytes_written(value: bytes) -> Iterator[bytes]:
    """Ways in which bytes could appear, whole or from their beginning on."""
    yield value[:16]
    yield value[:16].hex().encode()
    yield base64.b64encode(value[:15])
    yield repr(value[:16])[2:-1].encode()
    yield from _sequence_written(list(value[:8]))


def _ring_written(value: bytes) -> Iterator[bytes]:
    """A tensor of ring elements, or of bytes."""
    yield from _bytes_written(value)
    for (element,) in struct.iter_unpack("<q", value[: len(value) // 8 * 8]):
        if abs(element) > 1 << 32:  # shorter numbers stand in logs for other reasons
            yield str(abs(element)).encode()
            yield f"{element & (1 << 64) - 1:016x}".encode()


def _key_lines(path: Path) -> Iterator[bytes]:
    lines = path.read_bytes().splitlines()[1:-1]
    yield from lines
    for line in lines:
        yield from _bytes_written(base64.b64decode(line)[-24:])


def _weights_written(path: Path) -> set[bytes]:
    content = torch.load(path, weights_only=True)
    weights = content["state_dict"] if "state_dict" in content else content["state"]["loop"]["trainer"]["model"]
    written: set[bytes] = set()
    for tensor in weights.values():
        values = tensor.flatten()[:20]
        written |= {f"{abs(value):.9f}"[:8].encode() for value in values.tolist()}
        written |= set(_bytes_written(values.numpy().tobytes()))
    return written


def _row_written(row: np.ndarray[Any, np.dtype[np.uint8]]) -> set[bytes]:
    normalized = [f"{abs(float(value)) / 255:.9f}"[:8].encode() for value in row if 0 < value < 255]
    return {*_bytes_written(row.tobytes()), *normalized}


def _sequence_written(values: list[int]) -> set[bytes]:
    return {separator.join(map(str, values)).encode() for separator in (", ", ",", " ", "\n")}


def _found(secrets: set[bytes], log: str) -> list[bytes]:
    return [secret for secret in secrets if len(secret) >= 6 and secret.decode("latin-1") in log]


@pytest.mark.parametrize("kind", ["stream key", "share", "private key", "weight", "input", "label"])
def test_no_secret_is_logged(kind: str, watched: Watched) -> None:
    """No share, key, weight, input or label of anybody, however it is written; a planted one would be found."""
    secrets = watched.secrets[kind]
    assert len(secrets) >= 4
    for role, log in watched.logs.items():
        assert _found(secrets, log) == [], role
    for secret in list(secrets)[:20]:
        assert len(secret) < 6 or secret in _found(secrets, f"{watched.logs['a']}\nvalue={secret.decode('latin-1')}")


def test_every_line_is_an_event(watched: Watched) -> None:
    """Beside the progress and the final table that a party shows, each line has time, level, source and one event."""
    for role, log in watched.logs.items():
        course, _, table = log.partition("\nTest accuracy, ")
        assert bool(table) == (role in PEER)
        for line in course.splitlines():
            match = _LOG_LINE.fullmatch(line)
            assert match or (role in PEER and _PROGRESS_LINE.fullmatch(line)), line
            if match:
                assert isinstance(json.loads(match[3]), str)


def test_the_course_of_a_run_can_be_read(watched: Watched) -> None:
    """Who was met, what was agreed, each exchange with its number and counts, each state, and the end."""
    exchange = ["exchange begun", "queries announced", "exchange finished", "state saved"]
    expected = ["ledger opened", "waiting", "waiting", "connected", "handshake agreed", "start agreed"]
    expected += ["budget planned", "state saved", *exchange * 3, "audit log closed", "run completed"]
    for role in PEER:
        events = [json.loads(match[3]) for match in _LOG_LINE.finditer(watched.logs[role])]
        assert [re.split(r" \w+=", event)[0] for event in events] == expected
        assert re.fullmatch(r"waiting for=the dealer address=\S+:\d+ at_most_seconds=\d+", events[1])
        assert events[2].startswith(f"waiting for={'party b' if role == 'a' else 'party a'} address=")
        finished = next(event for event in events if event.startswith("exchange finished exchange=2 "))
        fields = dict(field.split("=") for field in finished.split()[2:])
        assert fields.keys() >= {"queries_made", "queries_answered", "bytes_sent", "dealer_bytes", "rounds", "seconds"}
        assert fields["queries_made"] == fields["queries_answered"] == "8"
    assert '"run completed exchanges=3"' in watched.logs["dealer"]
