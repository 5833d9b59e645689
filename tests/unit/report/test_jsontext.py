from __future__ import annotations

import json
import math

from smule_crypten.report.jsontext import to_json


def test_values_that_json_does_not_know_become_null() -> None:
    """A diverged loss cannot make a file that strict JSON parsers refuse."""
    text = to_json({"loss": math.nan, "errors": [math.inf, 0.5], "deep": {"x": (-math.inf,)}})
    assert json.loads(text) == {"loss": None, "errors": [None, 0.5], "deep": {"x": [None]}}


def test_counts_keep_every_digit() -> None:
    """Byte counts beyond the 53 bits of a float survive."""
    assert json.loads(to_json({"bytes": 2**60 + 1})) == {"bytes": 2**60 + 1}
