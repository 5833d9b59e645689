"""The figures of the benchmark over an emulated link: its formula, and one small run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


def test_formula(emulated_link: ModuleType) -> None:
    """Full duplex counts the busier direction, half duplex both; every round a whole trip, in the floor half of one."""
    link = emulated_link.LinkSpeed(mbit=8.0, rtt_ms=100.0)
    common = {"peak_memory_bytes": 0, "logit_error": 0.0, "soft_label_error": 0.0, "rounds": 10}
    party_a = [emulated_link.Run(seconds=3.0, bytes_sent=2_000_000, dealer_bytes=500_000, **common)] * 2
    party_b = [emulated_link.Run(seconds=6.0, bytes_sent=3_000_000, dealer_bytes=0, **common)] * 2
    figures = emulated_link.summarize(link, (party_a, party_b), (party_a, party_b))
    assert figures["full_duplex_seconds"] == pytest.approx(3.0 + 1.0)
    assert figures["half_duplex_seconds"] == pytest.approx(5.0 + 1.0)
    assert figures["floor_seconds"] == pytest.approx(3.0 + 0.5)
    assert figures["dealer_line_seconds"] == pytest.approx(0.5)
    assert figures["ratio_full_duplex"] == pytest.approx(6.0 / 4.0)
    assert figures["online_seconds"] == [6.0, 6.0]


@pytest.mark.slow
@pytest.mark.parametrize("dealer_link", ["local", "emulated"])
def test_small_run(tmp_path: Path, dealer_link: str) -> None:
    """The parties meet over the proxies, and bytes and rounds do not depend on them. Its times are not judged here."""
    output = tmp_path / "link.json"
    script = Path(__file__).parents[2] / "benchmarks" / "emulated_link.py"
    arguments = ["--samples", "1", "--repeats", "2", "--dealer-link", dealer_link, "--output", str(output)]
    completed = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    assert "Traceback" not in completed.stderr
    figures = json.loads(output.read_text())["schemes"]["crypten"]
    assert figures["rounds"] == 64
    assert figures["max_abs_soft_label_error"] < 0.01
    # No link is faster than its delay: 64 rounds of half a round trip.
    assert min(figures["online_seconds"]) >= 64 * 0.020
