from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.errors import BudgetError, OutputError, ProtocolError
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.mutual_learning.head_budget import HeadBudget
from smule_crypten.types import Disclosure

PEER, OTHER = ":".join(["ab"] * 32), ":".join(["cd"] * 32)


def query(query_id: int, num_samples: int) -> Disclosure:
    return Disclosure(query_id=query_id, to_party="b", num_samples=num_samples, model_step=10 * query_id)


def budget(
    path: Path,
    total: int | None = None,
    run: str = "first",
    peer: str = PEER,
    counts: Sequence[int] = (),
    first: int = 1,
    **settings: Any,
) -> QueryBudget:
    """A budget that was planned for exchanges of counts answers; for nothing yet where a total is the only limit."""
    result = QueryBudget(DisclosureConfig(max_answers_total=total, **settings), path, run=run, peer=peer)
    result.plan("b", counts, first=first)
    return result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "disclosures.jsonl"


def test_ledger_survives_restarts(path: Path) -> None:
    """What was disclosed before a restart counts towards the total."""
    budget(path, 10).charge(query(1, 6))
    again = budget(path, 10)
    assert again.answered == 6
    assert again.charged == {1: 6}
    with pytest.raises(BudgetError, match="leaves 4"):
        again.charge(query(2, 5))
    again.charge(query(2, 4))
    assert budget(path, 10).answered == 10


def test_all_runs_of_a_peer_count(path: Path) -> None:
    """A new run does not start a new budget: its queries have the same numbers, and are charged all the same."""
    budget(path, 10).charge(query(1, 6))
    second = budget(path, 10, run="second")
    assert second.charged == {}
    with pytest.raises(BudgetError, match="leaves 4"):
        second.charge(query(1, 6))
    second.charge(query(1, 4))
    assert [(entry.run, entry.query_id) for entry in read_ledger(path)] == [("first", 1), ("second", 1)]


def test_each_peer_has_its_own_count(path: Path) -> None:
    """What another peer was answered takes nothing from this one, and is not forgotten."""
    budget(path, 10).charge(query(1, 8))
    other = budget(path, 10, run="second", peer=OTHER)
    other.charge(query(1, 9))
    assert (other.answered, other.answered_to_others) == (9, 8)
    assert budget(path, 10, run="third").answered == 8


def test_a_peer_with_a_new_certificate(path: Path) -> None:
    """A new certificate brings no new budget: within a run it counts by itself, else once the former one is named."""
    budget(path, 10).charge(query(1, 4))
    same_run = budget(path, 10, peer=OTHER)
    same_run.charge(query(1, 4))
    assert same_run.answered == 8
    assert budget(path, 10, run="second", peer=OTHER).answered == 4
    named = budget(path, 10, run="second", peer=OTHER, former_fingerprints=(PEER,))
    with pytest.raises(BudgetError, match="leaves 2"):
        named.charge(query(1, 3))


@pytest.mark.parametrize("text", ["", "ab:cd", PEER.upper(), f"{PEER}:ab"])
def test_a_former_fingerprint_that_cannot_match(text: str) -> None:
    """A slip of the pen would silently start a new count."""
    with pytest.raises(ValueError, match="smule-keys show"):
        DisclosureConfig(former_fingerprints=(text,))


def test_refused_query_is_not_entered(path: Path) -> None:
    """Nothing was disclosed, so nothing stands in the ledger; second answers count to what is asked at once."""
    limited = budget(path, 100, max_answers_per_exchange=5)
    with pytest.raises(BudgetError, match=r"for 6 answers at once, disclosure\.max_answers_per_exchange=5"):
        limited.charge(query(1, 4), num_second=2)
    assert limited.answered == 0
    assert not path.exists()


def test_every_attempt_is_charged(path: Path) -> None:
    """72 answers for 24: an exchange that is attempted again may ask about other images, so each attempt costs."""
    for attempt in (1, 2, 3):
        repeated = budget(path, counts=[24])
        repeated.charge(query(1, 24))
        assert (repeated.answered, repeated.charged) == (24 * attempt, {1: 24 * attempt})
    assert repeated.facts() == {
        "limit": 72, "charged": 72, "charged_before": 0, "left": 0, "public": 0,
        "repeats_used": 2, "repeats_allowed": 2,
    }  # fmt: skip
    assert [entry.attempt for entry in read_ledger(path)] == [1, 2, 3]
    with pytest.raises(BudgetError, match=r"attempted 3 times, and disclosure\.repeats=2 are used"):
        repeated.charge(query(1, 24))
    with pytest.raises(
        BudgetError, match=r"2 exchanges were repeated and 1 more would be, disclosure\.repeats=2; set it to 3"
    ):
        budget(path, counts=[24])
    assert len(read_ledger(path)) == 3


def test_a_total_counts_repeated_attempts(path: Path) -> None:
    """Allowed repeats do not widen a limit that its owner has set."""
    budget(path, 30, counts=[24]).charge(query(1, 24))
    with pytest.raises(BudgetError, match=r"24 answers in 1 exchange.*leaves 6; 48 would do"):
        budget(path, 30, counts=[24])


def test_second_answers_are_charged(path: Path) -> None:
    """48 answers for 24: what is asked a second time has a line of its own, and counts."""
    checked = budget(path, counts=[36], repeats=0)
    with pytest.raises(ProtocolError, match="has no first answers"):
        checked.charge_second(query(1, 12))
    checked.charge(query(1, 24), num_second=12)
    checked.charge_second(query(1, 12))
    assert [(entry.kind, entry.num_samples, entry.attempt) for entry in read_ledger(path)] == [
        ("first", 24, 1),
        ("second", 12, 1),
    ]
    assert (checked.answered, checked.repeats_used, checked.facts()["left"]) == (36, 0, 0)
    with pytest.raises(BudgetError, match="leaves 0"):
        checked.charge_second(query(1, 1))


def test_what_does_not_suffice_with_second_answers_is_refused_before_the_first(path: Path) -> None:
    """Or a run would end between the first and the second answers."""
    limited = budget(path, 30)
    with pytest.raises(BudgetError, match=r"asks for 36 answers, .*leaves 30"):
        limited.charge(query(1, 24), num_second=12)
    assert not path.exists()


def test_a_limit_is_derived_from_the_plan(path: Path) -> None:
    """Without a total, a peer gets what the run was planned for, repeats with it, and not one answer more."""
    planned = budget(path, counts=[8, 8, 8], repeats=1)
    assert planned.limit == 32
    for number in (1, 2, 3):
        planned.charge(query(number, 8))
    assert planned.facts()["left"] == 8
    with pytest.raises(BudgetError, match=r"asks for 9 answers, the plan of this run, of 32 answers, leaves 8"):
        planned.charge(query(4, 9))
    resumed = budget(path, counts=[8, 8, 8], first=3, repeats=1)
    resumed.charge(query(3, 8))
    assert (resumed.limit, resumed.facts()["left"], resumed.repeats_used) == (32, 0, 1)


def test_a_derived_limit_holds_what_was_answered_before(path: Path) -> None:
    """One number bounds all that a peer got by this ledger: former runs, too, and always the same in one run."""
    budget(path, counts=[8]).charge(query(1, 8))
    second = budget(path, run="second", counts=[5, 5], repeats=0)
    assert (second.limit, second.facts()["charged_before"]) == (18, 8)
    second.charge(query(1, 5))
    assert budget(path, run="second", counts=[5, 5], first=2, repeats=0).limit == 18


def test_a_plan_beyond_the_total_is_refused(path: Path) -> None:
    """Before anything is trained or answered, with what would do; what is behind a run is not planned again."""
    with pytest.raises(BudgetError, match=r"may ask for 24 answers in 3 exchange.*total=20 leaves 20; 24 would do"):
        budget(path, 20, counts=[8, 8, 8])
    with pytest.raises(BudgetError, match=r"for 8 answers at once, disclosure\.max_answers_per_exchange=7"):
        budget(path, counts=[8], max_answers_per_exchange=7)
    budget(path, 24, counts=[8, 8, 8]).charge(query(1, 8))
    assert budget(path, 24, counts=[8, 8, 8], first=2).facts()["left"] == 16


def test_a_session_has_no_repeats(path: Path) -> None:
    """Questions to a trained party are asked once under their numbers; asked again, they are another session."""
    session = QueryBudget(DisclosureConfig(), path, run="session", peer=PEER)
    session.plan("b", [40, 31], can_repeat=False)
    assert (session.limit, session.facts()["repeats_allowed"]) == (71, 0)


def test_nothing_is_answered_without_a_plan(path: Path) -> None:
    """Whoever forgets to plan would answer without a limit."""
    unplanned = QueryBudget(DisclosureConfig(), path, run="first", peer=PEER)
    with pytest.raises(ProtocolError, match="call plan first"):
        unplanned.charge(query(1, 1))
    with pytest.raises(ProtocolError, match="call plan first"):
        print(unplanned.limit)


def test_unreadable_ledger_is_refused(path: Path) -> None:
    """Whatever stands in the way is no reason to begin a new count."""
    path.mkdir()
    with pytest.raises(OutputError, match=f"cannot read ledger {path}"):
        budget(path)


def test_two_runs_at_once(path: Path) -> None:
    """Two runs that count at the same time would both spend what is left; the second one is refused until the end."""
    with budget(path, 10) as first:
        first.charge(query(1, 6))
        with pytest.raises(OutputError, match="is in use by another run; wait"), budget(path, 10, run="second"):
            pass
        assert budget(path, 10, run="second").answered == 6  # looking is always possible
    waiting = budget(path, 10, run="second")
    budget(path, 10).charge(query(2, 3))
    with waiting as second:
        assert second.answered == 9


def test_a_ledger_without_a_folder(tmp_path: Path) -> None:
    """A path that was mistyped, or a disk that is not there, does not begin a new ledger."""
    path = tmp_path / "absent" / "ledger.jsonl"
    with pytest.raises(OutputError, match="its folder must exist"), budget(path):
        pass
    assert not path.parent.exists()


def test_an_entry_that_cannot_be_written(path: Path) -> None:
    """What is not on disk is not charged, and the error says that nothing was answered."""
    nowhere = budget(path.parent / "file" / "ledger.jsonl", 10)
    (path.parent / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot (write|read) ledger .*"):
        nowhere.charge(query(1, 3))
    assert nowhere.answered == 0


def test_a_ledger_that_changes_in_the_course_of_a_run(path: Path) -> None:
    """A line that somebody cut off meanwhile is noticed with the next one."""
    running = budget(path, 10)
    running.charge(query(1, 3))
    running.charge(query(2, 3))
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    with pytest.raises(OutputError, match="was changed by somebody else in the course of this run"):
        running.charge(query(3, 3))


def test_a_joint_head_has_a_limit_of_its_own(path: Path) -> None:
    """In the same ledger: neither takes anything off the other one's, and the noise on a network's answers knows none
    of it; in another run, what the head gave is taken off the head's."""
    network = budget(path, 10)
    head = HeadBudget(network.ledger, "b", answers=6, repeats=0)
    network.charge(query(1, 4))
    head.charge_check(16, "0" * 64)
    head.charge_answers(6, "0" * 64)
    head.charge_answers(0, "0" * 64)
    assert (network.answered, network.charged, head.answered) == (4, {1: 4}, 6)
    assert network.noise_rule.num_answers == 10
    network.charge(query(2, 6))
    with pytest.raises(BudgetError, match=r"attempted 1 times in this run, and disclosure\.repeats=0 are used"):
        head.charge_answers(6, "1" * 64)
    later = budget(path, 20, run="second")
    again = HeadBudget(later.ledger, "b", answers=7, repeats=0)
    assert (later.answered_before, again.answered, again.answered_before) == (10, 0, 6)
    with pytest.raises(BudgetError, match="leaves 1; both may raise it to 8"):
        again.charge_answers(2, "1" * 64)
    again.charge_answers(1, "1" * 64)
    assert HeadBudget(budget(path, peer=OTHER, run="third").ledger, "b", answers=1, repeats=0).answered_before == 0


def test_weights_are_revealed_of_one_solve(path: Path) -> None:
    """To the same party: two heads show the rows that they differ by. The same solve again takes no second line."""
    HeadBudget(budget(path).ledger, "b", answers=6, repeats=2).charge_weights(15, "0" * 64)
    again = HeadBudget(budget(path).ledger, "b", answers=6, repeats=2)
    again.charge_weights(15, "0" * 64)
    assert len(read_ledger(path)) == 1
    with pytest.raises(BudgetError, match=r"restore states/joint_head\.pt at both parties"):
        again.charge_weights(15, "1" * 64)
    with pytest.raises(BudgetError, match="were revealed to party b in another run"):
        HeadBudget(budget(path, run="second").ledger, "b", answers=6, repeats=0).check_weights()
