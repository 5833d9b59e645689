from __future__ import annotations

import pytest

from smule_crypten.training.forecast import ERROR, HALF, TAKEN, forecast


def test_more_questions_bring_more_up_to_what_both_know() -> None:
    """Nothing without a question, half of it at HALF, and never more than TAKEN times what both answers gain."""
    gains = [forecast(0.1, (0.05, 0.15), count).gain for count in (0, HALF, 10**9)]
    assert gains == pytest.approx([0.0, TAKEN * 0.05, TAKEN * 0.1], abs=1e-6)


def test_the_interval_holds_both_errors() -> None:
    """That of the held-out samples shrinks with what training takes over; that of the formula stays."""
    nothing_asked = forecast(0.1, (0.0, 0.3), 0)
    assert (nothing_asked.low, nothing_asked.high) == pytest.approx((-2 * ERROR, 2 * ERROR))
    much_asked = forecast(0.1, (0.0, 0.3), 10**9)
    assert much_asked.low < much_asked.gain - TAKEN * 0.1
    assert much_asked.high > much_asked.gain + TAKEN * 0.2


def test_a_peer_that_spoils_answers_is_not_expected_to_help() -> None:
    """A loss is forecast as a loss."""
    assert forecast(-0.05, (-0.1, 0.0), 1000).gain < 0
