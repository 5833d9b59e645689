"""The three sentences and the two plots that a page begins with."""

from __future__ import annotations

import re

import pytest
from judged import judged, of_regression

from smule_crypten.pages.opening import Opening, opening, unbroken
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import build_summary


def _opening(record: RunRecord) -> Opening:
    return opening(record, build_summary(record))


def _sentences(record: RunRecord) -> list[str]:
    return [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in _opening(record).sentences]


def test_three_sentences_of_a_simulation(record: RunRecord) -> None:
    """Who gained what, what it cost, what was disclosed; the sums are those of the record, by hand."""
    assert _sentences(record) == [
        "By test accuracy, party a reaches 92.0 % with party b’s answers, 2.0 points better than alone (90.0 %); "
        "party b reaches 95.0 % with party a’s answers, 0.5 points worse than alone (95.5 %).",
        "It cost 10.00 MB in 185 rounds between the parties, 33.33 kB a question, and 1.60 kB came from the dealer; "
        "the exchanges took 31.0 s of 47.2 s.",
        "Disclosed: party a’s network answered 100 questions of party b and party b’s network answered 200 questions "
        "of party a; with these settings the rest was not protected either.",
    ]


def test_three_sentences_of_a_party(record_of_a: RunRecord) -> None:
    """What its own record knows: its gain, the link in both directions, and what the other network answered to it."""
    record_of_a.facts = record_of_a.facts.model_copy(update={"insecure_choices": []})
    gained, cost, disclosed = _sentences(record_of_a)
    assert gained == (
        "By test accuracy, party a reaches 92.0 % with party b’s answers, 2.0 points better than alone (90.0 %)."
    )
    assert "10.00 MB in 185 rounds" in cost
    assert "800 B to party a came from the dealer" in cost
    assert disclosed == (
        "Disclosed: party a’s network answered 100 questions of party b and party b’s network answered 200 questions "
        "of party a; each answer tells its receiver something about the network that gave it. Samples and weights "
        "stayed with their owners."
    )


def test_a_difference_that_may_be_chance_is_none(record: RunRecord) -> None:
    """That of b has an interval that includes zero: no number stands there that could be believed."""
    of_a, of_b = _sentences(judged(record))[0].split(";")
    assert "1.0 points better than alone" in of_a
    assert of_b == " party b reaches 95.0 % with party a’s answers, which is not clearly different from alone (95.5 %)."


def test_no_difference_is_called_one(record: RunRecord) -> None:
    """Where older records have no intervals, equal figures are the same and not worse."""
    record.parties["b"] = record.parties["b"].model_copy(update={"standalone_test_accuracy": 0.95})
    assert "party b reaches 95.0 % with party a’s answers, the same as alone (95.0 %)." in _sentences(record)[0]


def test_a_metric_of_values(record: RunRecord) -> None:
    """Errors are no percent, and have no points."""
    assert "By test RMSE, party a reaches 54.3 with party b’s answers" in _sentences(of_regression(record))[0]


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        (0, "No epoch is finished yet."),
        (2, "By test accuracy, party a, still alone, is at 80.0 % after epoch 2 of 3."),
        (
            5,
            "By test accuracy, party a, with party b’s answers, is at 82.0 % after epoch 2 of 3 "
            "(alone it came to 90.0 %).",
        ),
    ],
)
def test_sentences_while_a_run_goes_on(record_of_a: RunRecord, epochs: int, said: str) -> None:
    """What is known after so many epochs, as what it is: not the end."""
    own = sorted(record_of_a.epochs, key=lambda epoch: (epoch.phase == "smule", epoch.epoch))
    record_of_a.epochs, record_of_a.parties, record_of_a.status = own[:epochs], {}, "running"
    gained, cost, disclosed = _sentences(record_of_a)
    assert gained == said
    assert cost == (
        "So far the exchanges took 5.00 MB in 91 rounds."
        if epochs == 5
        else "So far the exchanges took 0 B in 0 rounds."
    )
    assert ("50 questions" in disclosed) if epochs == 5 else (disclosed.startswith("Nothing was disclosed so far"))


def test_sentences_of_a_run_that_failed(partial_record: RunRecord) -> None:
    """What was known by then, and nothing that sounds as if it went on."""
    assert _sentences(partial_record)[:2] == [
        "By test accuracy, party a, with party b’s answers, came to 82.0 % after epoch 2 of 3; "
        "party b, with party a’s answers, came to 75.0 % after epoch 1 of 3.",
        "Before it ended the exchanges took 16 B in 1 round.",
    ]


def test_each_plot_says_what_it_shows(record: RunRecord) -> None:
    """Who cannot see it hears the first and the last figure of each line, and the bytes."""
    learning, traffic = _opening(record).plots.blocks
    assert not isinstance(learning, str)
    alt = re.sub(r"\s+", " ", learning.alt)
    assert "a alone: 70.0 % after epoch 1, 90.0 % after epoch 3" in alt
    assert "b SMuLe: 75.0 % after epoch 1, 95.0 % after epoch 3" in alt
    assert "pooled data: 76.0 % after epoch 1, 96.0 % after epoch 3" in alt
    assert "10.00 MB after 2 exchanges in 3 epochs" in traffic.alt


@pytest.mark.parametrize("text", ["51.1_%", "8.4_points better", "17.85_MB in 177 rounds", "12_B", "1_min 05_s of it"])
def test_figures_keep_their_units(text: str) -> None:
    """A line does not end between them, where _ stands; elsewhere it may."""
    assert unbroken(text.replace("_", " ")) == text.replace("_", "\N{NO-BREAK SPACE}")
