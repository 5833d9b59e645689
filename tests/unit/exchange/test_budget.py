from __future__ import annotations

from pathlib import Path

import pytest

from smule_crypten.config import BudgetConfig
from smule_crypten.errors import BudgetError, OutputError
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.exchange.disclosures import read_ledger
from smule_crypten.types import Disclosure

PEER, OTHER = ":".join(["ab"] * 32), ":".join(["cd"] * 32)


def query(query_id: int, num_samples: int) -> Disclosure:
    return Disclosure(query_id=query_id, to_party="b", num_samples=num_samples, model_step=10 * query_id)


def budget(path: Path, total: int | None = None, run: str = "first", peer: str = PEER, **limits: object) -> QueryBudget:
    return QueryBudget(BudgetConfig(max_queries_total=total, **limits), path, run=run, peer=peer)  # type: ignore[arg-type]


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
    assert budget(path).answered == 10


def test_all_runs_of_a_peer_count(path: Path) -> None:
    """A new run does not start a new budget: its queries have the same numbers, and are charged all the same."""
    budget(path, 10).charge(query(1, 6))
    second = budget(path, 10, run="second")
    assert second.charged == {}
    with pytest.raises(BudgetError, match="leaves 4"):
        second.charge(query(1, 6))
    second.charge(query(1, 4))
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
    budget(path, 10).charge(query(1, 8))
    same_run = budget(path, 10, peer=OTHER)
    same_run.charge(query(1, 8))
    assert same_run.answered == 8
    assert budget(path, 10, run="second", peer=OTHER).answered == 0
    named = budget(path, 10, run="second", peer=OTHER, former_fingerprints=(PEER,))
    with pytest.raises(BudgetError, match="leaves 2"):
        named.charge(query(1, 3))


@pytest.mark.parametrize("text", ["", "ab:cd", PEER.upper(), f"{PEER}:ab"])
def test_a_former_fingerprint_that_cannot_match(text: str) -> None:
    """A slip of the pen would silently start a new count."""
    with pytest.raises(ValueError, match="smule-keys show"):
        BudgetConfig(former_fingerprints=(text,))


def test_refused_query_is_not_entered(path: Path) -> None:
    """Nothing was disclosed, so nothing stands in the ledger."""
    limited = budget(path, max_queries_per_exchange=5)
    with pytest.raises(BudgetError, match=r"6 samples at once, budget\.max_queries_per_exchange allows 5"):
        limited.charge(query(1, 6))
    assert limited.answered == 0
    assert not path.exists()


def test_repeated_query_is_charged_once(path: Path) -> None:
    """A query asked again after a crash discloses nothing new; one that has grown is charged for the difference."""
    repeated = budget(path, 10)
    repeated.charge(query(1, 8))
    repeated.charge(query(1, 8))
    assert repeated.answered == 8
    repeated.charge(query(1, 10))
    assert repeated.answered == 10
    assert budget(path).answered == 10


def test_no_limit(path: Path) -> None:
    """Without limits everything is answered, and still entered."""
    unlimited = budget(path)
    unlimited.charge(query(1, 10**6))
    assert unlimited.answered == 10**6


GOOD = f'{{"run": "r", "peer": "{PEER}", "query_id": 1, "to_party": "b", "num_samples": 3, "model_step": 0}}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        GOOD.encode() + b'{"query_id": 2, "to_par',
        GOOD.replace("3", "-3").encode(),
        GOOD.replace("3", '"3"').encode(),
        GOOD.replace('"run": "r", ', "").encode(),
        b"\xff\xfe",
        b"\n",
    ],
)
def test_damaged_ledger_is_refused(content: bytes, path: Path) -> None:
    """A ledger that cannot be read would forget what was disclosed, and begin a new budget."""
    path.write_bytes(content)
    with pytest.raises(OutputError, match="is damaged; restore it"):
        budget(path)
    assert path.read_bytes() == content


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
    nowhere = budget(path.parent / "file" / "ledger.jsonl")
    (path.parent / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write ledger .*nothing is answered without an entry"):
        nowhere.charge(query(1, 3))
    assert nowhere.answered == 0


def test_a_question_in_parts_is_checked_as_a_whole(path: Path) -> None:
    """What all parts together ask is refused before the first one is entered; the limit a part is no limit of it."""
    limited = budget(path, 10, max_queries_per_exchange=4)
    limited.charge(query(1, 3))
    limited.check_total("b", 7)
    with pytest.raises(BudgetError, match=r"party b asks about 8 samples.*leaves 7"):
        limited.check_total("b", 8)
    assert limited.answered == 3
