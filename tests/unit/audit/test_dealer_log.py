"""The audit log of a dealer: each session by whom and how it ended, whatever ended it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from smule_crypten.audit.dealer_log import audited_dealer
from smule_crypten.audit.log import read_log
from smule_crypten.audit.summary import by_run, notable
from smule_crypten.errors import HandshakeError, OutputError, PeerDisconnectedError
from smule_crypten.launch import audit

OWN, PARTIES = "dd:00", ("aa:01", "bb:02")


def told(path: Path, event: str) -> list[dict[str, Any]]:
    lines = read_log(path).lines
    return [line.details.model_dump(exclude={"event"}) for line in lines if line.details.event == event]


def go(path: Path, *errors: BaseException | None) -> None:
    """A dealer with one session an error, each of which deals once; it is stopped by Ctrl-C."""
    with pytest.raises(KeyboardInterrupt):
        _serve(path, errors)


def _serve(path: Path, errors: Sequence[BaseException | None]) -> None:
    with audited_dealer(path, OWN, PARTIES) as dealer:
        for error in errors:
            with suppress(PeerDisconnectedError, HandshakeError), dealer.session():
                dealer.stated("lean", "0" * 64)
                dealer.dealt(2, (8, 5))
                if error is not None:
                    raise error
        assert dealer.exchanges == len(errors)
        raise KeyboardInterrupt


def test_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an error the kind alone; refusals apart from failures; the summary has a row for each session."""
    path = tmp_path / "audit.jsonl"
    go(path, None, PeerDisconnectedError("party a is gone, at 192.0.2.1"), HandshakeError("different terms"))
    assert told(path, "dealer_started")[0].items() >= {"certificate": OWN, "party_a": "aa:01"}.items()
    assert told(path, "dealing") == [{"party_a": "aa:01", "party_b": "bb:02"}] * 3
    assert told(path, "dealt") == [{"index": 2, "asked_by_a": 8, "asked_by_b": 5}] * 3
    assert told(path, "dealing_ended") == [
        {"outcome": "completed", "exchanges": 1, "error": None},
        {"outcome": "failed", "exchanges": 1, "error": "PeerDisconnectedError"},
        {"outcome": "refused", "exchanges": 1, "error": "HandshakeError"},
    ]
    assert told(path, "refused") == [{"error": "HandshakeError", "exit_code": 13}]
    assert told(path, "ended") == [{"outcome": "stopped", "error": None}]
    assert "192.0.2.1" not in path.read_text()
    summaries = by_run(read_log(path).lines)
    found = [(one.starts, one.exchanges, one.refusals, one.outcomes, one.cut_off) for one in summaries]
    assert found == [
        (1, 0, 0, ["stopped"], 0),
        (1, 1, 0, ["completed"], 0),
        (1, 1, 0, ["failed"], 0),
        (1, 1, 1, ["refused"], 0),
    ]
    texts = [text for _, text in notable(read_log(path).lines)]
    assert texts.count("session of party a, aa:01, and party b, bb:02") == 3
    assert "ended: failed (PeerDisconnectedError)" in texts
    with pytest.raises(SystemExit) as ended:
        audit.main([str(path), "--json"])
    assert ended.value.code == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 4


def test_a_killed_dealer_is_noticed(tmp_path: Path) -> None:
    """What a crash leaves: a session without an end, and half a line, which the next process closes."""
    path = tmp_path / "audit.jsonl"
    go(path, None)
    *kept, torn, _, _ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(kept) + torn[:40])
    go(path, None)
    assert len(told(path, "recovered")) == 1
    assert [one.cut_off for one in by_run(read_log(path).lines)] == [1, 1, 0]


def test_one_dealer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with (
        audited_dealer(path, OWN, PARTIES),
        pytest.raises(OutputError, match=r"in use by another run; .*output_dir"),
        audited_dealer(path, OWN, PARTIES),
    ):
        pass
