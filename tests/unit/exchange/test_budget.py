from __future__ import annotations

from pathlib import Path

import pytest

from smule_crypten.config import BudgetConfig
from smule_crypten.errors import BudgetError, OutputError
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.types import Disclosure


def query(query_id: int, num_samples: int) -> Disclosure:
    return Disclosure(query_id=query_id, to_party="b", num_samples=num_samples, model_step=10 * query_id)


def test_ledger_survives_restarts(tmp_path: Path) -> None:
    """What was disclosed in earlier sessions counts towards the total."""
    path = tmp_path / "party_a" / "disclosures.jsonl"
    config = BudgetConfig(max_queries_total=10)
    QueryBudget(config, path).charge(query(1, 6))
    again = QueryBudget(config, path)
    assert again.answered == 6
    assert again.entries == [query(1, 6)]
    with pytest.raises(BudgetError, match="leaves 4"):
        again.charge(query(2, 5))
    again.charge(query(2, 4))
    assert QueryBudget(config, path).answered == 10


def test_refused_query_is_not_entered(tmp_path: Path) -> None:
    """Nothing was disclosed, so nothing stands in the ledger."""
    path = tmp_path / "disclosures.jsonl"
    budget = QueryBudget(BudgetConfig(max_queries_per_exchange=5), path)
    with pytest.raises(BudgetError, match=r"6 samples at once, budget\.max_queries_per_exchange allows 5"):
        budget.charge(query(1, 6))
    assert budget.answered == 0
    assert not path.exists()


def test_repeated_query_is_charged_once(tmp_path: Path) -> None:
    """A query asked again after a crash discloses nothing new; one that has grown is charged for the difference."""
    budget = QueryBudget(BudgetConfig(max_queries_total=10), tmp_path / "disclosures.jsonl")
    budget.charge(query(1, 8))
    budget.charge(query(1, 8))
    assert budget.answered == 8
    budget.charge(query(1, 10))
    assert budget.answered == 10
    assert QueryBudget(BudgetConfig(), tmp_path / "disclosures.jsonl").answered == 10


def test_no_limit(tmp_path: Path) -> None:
    """Without limits everything is answered, and still entered."""
    budget = QueryBudget(BudgetConfig(), tmp_path / "disclosures.jsonl")
    budget.charge(query(1, 10**6))
    assert budget.answered == 10**6


def test_damaged_ledger_is_refused(tmp_path: Path) -> None:
    """A ledger that cannot be read would forget what was disclosed."""
    path = tmp_path / "disclosures.jsonl"
    QueryBudget(BudgetConfig(), path).charge(query(1, 3))
    path.write_text(path.read_text() + '{"query_id": 2, "to_par')
    with pytest.raises(OutputError, match="is damaged; restore it"):
        QueryBudget(BudgetConfig(), path)
