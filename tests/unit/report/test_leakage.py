from __future__ import annotations

import pytest

from smule_crypten.report.leakage import MEASURED, given_away


@pytest.mark.parametrize(
    ("num_answers", "digits", "cifar"),
    [(1, "72 % (digits, 50", "48 % (CIFAR-10, 150"), (200, "86 % (digits, 200", "65 %"), (10**6, "90 %", "79 %")],
)
def test_never_less_than_was_measured_for_so_many(num_answers: int, digits: str, cifar: str) -> None:
    """Between two measured numbers the larger one speaks, beyond the largest that one."""
    text = given_away(num_answers, "classification")
    assert digits in text
    assert cifar in text
    assert "0.56 on digits" in text


def test_more_answers_make_better_copies() -> None:
    """The table is in the order that the choice of a row relies on."""
    for measured in MEASURED:
        counts, fidelities = zip(*measured.fidelity.items(), strict=True)
        assert list(counts) == sorted(counts)
        assert list(fidelities) == sorted(fidelities)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_nothing_is_quoted_that_was_not_measured(task: str) -> None:
    """Agreement of classes says nothing of labels or numbers."""
    assert given_away(200, task).endswith("was not measured")
    assert "%" not in given_away(200, task)
