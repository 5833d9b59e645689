"""What the auditor writes as a process goes: its beginning, what its operator set aside, its answers, its end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from terms_files import make_keys, protocol_of, side_config, write_approved

from smule_crypten.audit.auditor import audited
from smule_crypten.audit.log import GENESIS, read_log
from smule_crypten.audit.summary import notable
from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import BudgetError, CredentialError, PeerDisconnectedError, TermsError
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.party.joining import joined_session
from smule_crypten.terms import approval
from smule_crypten.types import Disclosure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path)
    return tmp_path


def go(folder: Path, config: PartyConfig, run: str = "one", error: BaseException | None = None) -> None:
    """A process that answers 5 samples once, and then ends, or with that error."""
    with (
        QueryBudget(config.disclosure, folder / "ledger.jsonl", run=run, peer="peer") as budget,
        audited(config, protocol_of(config), budget, folder / "audit.jsonl", "training") as audit,
    ):
        budget.plan("b", [5])
        budget.charge(Disclosure(query_id=1, to_party="b", num_samples=5, model_step=3))
        if error is not None:
            raise error
        audit.completed()


def told(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = read_log(folder / "audit.jsonl").lines
    return [line.details.model_dump(exclude={"event"}) for line in lines if line.details.event == event]


def test_an_answer_is_told_with_its_line_of_the_ledger(folder: Path) -> None:
    go(folder, side_config(folder, "a", terms="none"))
    (entry,) = read_ledger(folder / "ledger.jsonl")
    (answers,) = told(folder, "answers")
    assert answers == {"exchange": 1, "attempt": 1, "kind": "first", "answers": 5, "ledger": entry.digest}
    assert told(folder, "ended") == [{"outcome": "completed", "error": None}]


@pytest.mark.parametrize(
    ("error", "outcome", "name", "refused"),
    [
        (BudgetError("no more"), "refused", "BudgetError", [{"error": "BudgetError", "exit_code": 11}]),
        (PeerDisconnectedError("gone"), "failed", "PeerDisconnectedError", []),
        (KeyboardInterrupt(), "stopped", None, []),
        (ZeroDivisionError("of images/patient-7.png"), "failed", None, []),
    ],
)
def test_how_it_ends(
    error: BaseException, outcome: str, name: str | None, refused: list[dict[str, Any]], folder: Path
) -> None:
    """By the kind of our errors; of no error the message, which may hold anything."""
    with pytest.raises(type(error)):
        go(folder, side_config(folder, "a", terms="none"), error=error)
    assert told(folder, "ended") == [{"outcome": outcome, "error": name}]
    assert told(folder, "refused") == refused
    assert "patient" not in (folder / "audit.jsonl").read_text()


def test_looser_limits_are_overrides(folder: Path) -> None:
    """Over all runs with a peer in one log: raised, lifted, less noise; a tighter limit is none."""
    limits: list[dict[str, Any]] = [
        {"max_answers_total": 40, "max_answers_per_exchange": 9, "logit_noise": 0.5},
        {"max_answers_total": 50, "max_answers_per_exchange": 9, "logit_noise": 0.5},
        {"max_answers_total": 30, "max_answers_per_exchange": None, "logit_noise": 0.25},
    ]
    for number, values in enumerate(limits):
        config = side_config(folder, "a", terms="none", disclosure=DisclosureConfig(**values))
        go(folder, config, run=f"run-{number}")
    found = [(one["key"], one["before"], one["now"]) for one in told(folder, "override") if one["key"] != "terms"]
    assert found == [
        ("disclosure.max_answers_total", 40, 50),
        ("disclosure.max_answers_per_exchange", 9, None),
        ("disclosure.logit_noise", 0.5, 0.25),
    ]
    assert len(told(folder, "started")) == 3


def test_a_raised_limit_of_a_peer_with_a_new_certificate(folder: Path) -> None:
    """Who it was before says disclosure.former_fingerprints; without that it is another peer."""
    go(folder, side_config(folder, "a", terms="none", disclosure=DisclosureConfig(max_answers_total=40)), run="one")
    former = told(folder, "started")[0]["peer"]
    for path in folder.glob("hospital-b.*"):
        path.unlink()
    make_keys(folder)
    for run, known, expected in (("two", (former,), [40]), ("three", (), [])):
        limits = DisclosureConfig(max_answers_total=50, former_fingerprints=known)
        before = len(told(folder, "override"))
        go(folder, side_config(folder, "a", terms="none", disclosure=limits), run=run)
        raised = [one for one in told(folder, "override")[before:] if one["key"] == "disclosure.max_answers_total"]
        assert [one["before"] for one in raised] == expected


def test_a_ledger_that_counts_anew_is_an_override(folder: Path) -> None:
    """A limit of all answers is one of a ledger, so an auditor is told when the next process has another one."""
    config = side_config(folder, "a", terms="none")
    go(folder, config, run="one")
    go(folder, config, run="two")
    first = read_ledger(folder / "ledger.jsonl")
    assert [one["ledger"] for one in told(folder, "started")] == [GENESIS, first[0].digest]
    (folder / "ledger.jsonl").rename(folder / "old.jsonl")
    go(folder, config, run="three")
    (found,) = [one for one in told(folder, "override") if one["key"] == "disclosure.ledger"]
    assert found == {"key": "disclosure.ledger", "before": first[-1].digest, "now": GENESIS}
    (text,) = [text for _, text in notable(read_log(folder / "audit.jsonl").lines) if "ledger" in text]
    assert text == "override: another ledger than before, which counts from zero (disclosure.ledger)"


def test_terms_that_end_while_a_process_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are held against the clock again once the other side is there."""
    write_approved(folder)
    config = side_config(folder, "a")
    with (
        QueryBudget(config.disclosure, folder / "ledger.jsonl", run="one", peer="peer") as budget,
        audited(config, protocol_of(config), budget, folder / "audit.jsonl", "training") as audit,
    ):
        audit.check_dates()
        ended = dt.datetime(2100, 1, 2, tzinfo=dt.UTC)
        monkeypatch.setattr(
            approval, "dt", SimpleNamespace(datetime=SimpleNamespace(now=lambda zone: ended), UTC=dt.UTC)
        )
        with pytest.raises(TermsError, match="ended on 2100-01-01"):
            audit.check_dates()


def test_a_certificate_that_is_replaced_meanwhile(folder: Path) -> None:
    """Nobody is met by another certificate than the one that the terms were held against, and that the log names."""
    write_approved(folder)
    config = side_config(folder, "b")
    with (
        QueryBudget(config.disclosure, folder / "ledger.jsonl", run="one", peer="peer") as budget,
        audited(config, protocol_of(config), budget, folder / "audit.jsonl", "training") as audit,
    ):
        for path in folder.glob("hospital-a.*"):
            path.unlink()
        make_keys(folder)
        with (
            pytest.raises(CredentialError, match="of party a was replaced after the terms were checked"),
            joined_session(config, audit),
        ):
            pass


def test_terms_are_told_before_anything_else_is_done(folder: Path) -> None:
    """Approved ones with the signers' times; without approval nothing is charged, and the log says why."""
    document = write_approved(folder)
    go(folder, side_config(folder, "a"))
    (terms,) = told(folder, "terms")
    assert terms["digest"] == document.terms.digest()
    assert [terms["signed_by_a"], terms["signed_by_b"]] == [one.signed_at for one in document.signatures]
    with pytest.raises(TermsError):
        go(folder, side_config(folder, "a", disclosure=DisclosureConfig(max_answers_total=999)), run="two")
    assert told(folder, "refused") == [{"error": "TermsError", "exit_code": 15}]
    assert len(told(folder, "answers")) == 1


def test_a_simulation_leaves_no_log(folder: Path) -> None:
    config = PartyConfig.model_validate(side_config(folder, "a").model_dump() | {"connection": None})
    go(folder, config)
    assert not (folder / "audit.jsonl").exists()
