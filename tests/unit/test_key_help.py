"""--help: every key with its values and its meaning, on 80 columns, without importing what takes seconds."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from smule_crypten._version import __version__
from smule_crypten.launch import key_help
from smule_crypten.launch.info import answer, dealer_usage, party_usage, smule_usage
from smule_crypten.launch.key_help import choices, keys_of_dealer, keys_of_party, keys_of_run

_ENTRY_POINTS = ("train", "party", "predict", "estimate", "dealer", "benchmark", "init")


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (
            keys_of_run,
            {
                "training.keep: best, last": "Which network a party keeps",
                "training.dp.delta: number > 0.0 and < 1.0": "Probability with which the bound may fail",
                "scheme.precision_bits: whole number >= 4 and <= 24": "Bits that a truncation drops",
                "party_a.samples.validation: number >= 0.0 and <= 0.5": "Which share of the labelled ones is held out",
                "data.mean: [number, ...]": "Public constants",
                "data.path: text or null": "The file or folder that holds the data",
            },
        ),
        (
            keys_of_party,
            {
                "role: a, b": "a waits for b to connect",
                "connection.listen: text or null": "Where party a waits for party b",
                "disclosure.repeats: whole number >= 0": "How many exchanges of a run may be attempted again",
                "launch.log_level: debug, info, warning": "What a process between hosts writes to its log",
            },
        ),
        (keys_of_dealer, {"listen: text": "host:port on which it waits", "runs: whole number >= 1 or null": "After"}),
    ],
    ids=["run", "party", "dealer"],
)
def test_every_key_is_explained(described: object, expected: dict[str, str]) -> None:
    """With its values; a key without a word in conf/ would raise."""
    lines = described().splitlines()  # type: ignore[operator]
    for key, words in expected.items():
        assert any(after.strip().startswith(words) for line, after in itertools.pairwise(lines) if line == key)


def test_a_comment_does_not_stand_for_keys_of_another_section() -> None:
    """Neighbours share a comment; a key behind a blank line or in another section does not get it."""
    text = "# Both of it.\na: 1\nb: 2\nc:\n  d: 3\n\ne: 4\n# Own.\nf: 5  # behind\n"
    assert dict(key_help._comments(text)) == {"a": "Both of it.", "b": "Both of it.", "c": "Both of it.", "f": "behind"}


def test_help_fits_80_columns() -> None:
    """No line is cut or broken inside a word."""
    for text in (smule_usage(), party_usage(""), dealer_usage(""), choices()):
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", _ENTRY_POINTS)
def test_help_imports_nothing_that_takes_seconds(name: str) -> None:
    """Neither PyTorch nor CrypTen, SciPy or Matplotlib: --help and --version answer in about a second."""
    program = f"""
import sys
sys.argv = ["command", "--help"]
from smule_crypten.launch.{name} import main
try:
    main()
except SystemExit as ended:
    assert ended.code in (0, None), ended.code
heavy = sorted({{"torch", "crypten", "scipy", "matplotlib", "sklearn"}} & set(sys.modules))
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 3


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Not Hydra's."""
    with pytest.raises(SystemExit) as ended:
        answer(lambda: "usage", ["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"smule-crypten {__version__}\n"
