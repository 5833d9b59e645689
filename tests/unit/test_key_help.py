"""--help: every key with its values and its meaning, on 80 columns, without importing what takes seconds."""

from __future__ import annotations

import itertools
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from smule_crypten._version import __version__
from smule_crypten.config.config_reading import leaves
from smule_crypten.config.run import RunConfig
from smule_crypten.launch.info import answer, dealer_usage, party_usage, smule_usage
from smule_crypten.launch.key_help import (
    by_topic,
    dealer_keys,
    described,
    is_rare,
    party_keys,
    run_keys,
)

_ENTRY_POINTS = ("train", "party", "predict", "estimate", "dealer", "benchmark", "init", "terms")


@pytest.mark.parametrize(
    ("help_text", "expected"),
    [
        (
            partial(by_topic, run_keys(), everything=True),
            {
                "training.keep: best, last (best)": "Which network a party keeps",
                "training.dp.delta: number > 0.0 and < 1.0 (1e-05)": "Probability with which the bound may fail",
                "scheme.precision_bits: whole number >= 4 and <= 24 (null)": "Fractional bits of fixed point",
                "party_a.samples.validation: number >= 0.0 and <= 0.5 (0.1)": "Share of the labelled ones",
                "data.mean: [number, ...] ([0.0])": "Public constants",
                "data.name: text": "Which kind of data.",
            },
        ),
        (
            partial(by_topic, party_keys(), everything=True),
            {
                "role: a, b": "Party a waits for party b",
                "connection.listen: text or null (null)": "host:port on which party a waits for party b",
                "disclosure.repeats: whole number >= 0 (2)": "How many exchanges of a run may be attempted again",
                "launch.log_level: debug, info, warning (info)": "What a process between hosts writes to its log",
            },
        ),
        (
            lambda: "\n".join(described(dealer_keys())),
            {"listen: text": "host:port on which it waits", "runs: whole number >= 1 or null (null)": "After"},
        ),
    ],
    ids=["run", "party", "dealer"],
)
def test_a_key_with_its_values_default_and_meaning(help_text: Callable[[], str], expected: dict[str, str]) -> None:
    """All of it is read from the models."""
    lines = help_text().splitlines()
    for key, words in expected.items():
        assert any(after.strip().startswith(words) for line, after in itertools.pairwise(lines) if line == key)


@pytest.mark.parametrize("keys", [run_keys, party_keys, dealer_keys])
def test_every_key_is_explained(keys: Callable[[], list[tuple[str, FieldInfo]]]) -> None:
    """A key without a docstring in its model has nothing to say for itself."""
    assert [key for key, field in keys() if not field.description] == []


@pytest.mark.parametrize("keys", [run_keys, party_keys])
def test_each_key_appears_once_under_one_topic(keys: Callable[[], list[tuple[str, FieldInfo]]]) -> None:
    """None is lost between the topics; the rare ones wait for --help-all, and what remains is what most users need."""
    heads = [line.partition(":")[0] for line in by_topic(keys(), True).splitlines() if re.match(r"[a-z]\S*:", line)]
    assert sorted(heads) == sorted(key for key, _ in keys())
    usual = [line.partition(":")[0] for line in by_topic(keys()).splitlines() if re.match(r"[a-z]\S*:", line)]
    assert set(heads) - set(usual) == {key for key, field in keys() if is_rare(field)}
    assert len(usual) <= 65


def test_a_simulation_has_at_most_117_keys() -> None:
    """Each option has to be understood by somebody; a new one should take the place of an old one. Five were added with
    the tasks: which it is, what it is judged by, how rare classes count, and the scale of regression targets; four more
    choose public features, five public samples to ask about, thirteen a joint head with features of its own, four what
    a party trains with, and two how data beyond memory are read."""
    assert len(list(leaves(RunConfig))) <= 117


def test_the_page_of_all_keys_is_up_to_date() -> None:
    """docs/keys.md is what scripts/keys_page.py writes from the models."""
    script = Path(__file__).parents[2] / "scripts" / "keys_page.py"
    written = runpy.run_path(str(script))
    assert written["PAGE"].read_text(encoding="utf-8") == written["page"](), "run python scripts/keys_page.py"


def test_help_fits_80_columns() -> None:
    """No line is cut or broken inside a word."""
    for text in (smule_usage(), smule_usage(True), party_usage(""), party_usage("", True), dealer_usage("")):
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
        answer(lambda _: "usage", ["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"smule-crypten {__version__}\n"
