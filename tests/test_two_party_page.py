"""docs/two-party.md: its tables are those of the code, and the tests that it names are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from smule_crypten.lattice.parameters import ERROR_COINS, ERROR_DEVIATION, GUARD_BITS, LATTICES, LEAST_SECURITY
from smule_crypten.oblivious.parameters import SETS, STANDARD, LpnSet

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "two-party.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def rows_below(heading: str) -> list[list[str]]:
    """Cells of the table with this row of headings."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def down(bits: float) -> str:
    """To a tenth, rounded down: more is not claimed."""
    return f"{int(10 * bits + 1e-9) / 10:.1f}"


def use_of(lpn: LpnSet) -> str:
    uses = {STANDARD.start.name: "start", STANDARD.main.name: "main iterations"}
    return uses.get(lpn.name, "–")


def test_lattices_are_those_of_the_code() -> None:
    assert rows_below("N") == [
        [
            str(lattice.degree),
            str(lattice.modulus_bits),
            down(lattice.security_bits),
            down(lattice.with_hints),
            lattice.source,
        ]
        for lattice in LATTICES
    ]


def test_sets_of_lpn_are_those_of_the_code() -> None:
    expected = []
    for lpn in sorted(SETS.values(), key=lambda lpn: lpn.log_size):
        assert lpn.attacks is not None
        attacks = lpn.attacks.pooled_gauss, lpn.attacks.algebraic, lpn.attacks.noted
        figures = [down(bits) for bits in (*attacks, lpn.bits, lpn.guess_bits)]
        expected.append([lpn.name, use_of(lpn), str(lpn.trees), str(lpn.log_size), str(lpn.depth), *figures])
    assert rows_below("set") == expected


def test_figures_in_the_text_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert (
        f"an error is {ERROR_COINS} fair coins less {ERROR_COINS // 2}, deviation {ERROR_DEVIATION:.2f}; "
        f"hidden values keep {GUARD_BITS} guard bits. No plan is made below {LEAST_SECURITY} bits."
    ) in text


def test_the_page_names_a_test_for_each_mistake() -> None:
    """Fourteen, in order."""
    rows = rows_below("What must hold")
    assert [row[0].partition(".")[0] for row in rows] == [str(number) for number in range(1, 15)]
    assert all("`tests/" in row[1] for row in rows)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_named_tests_exist(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
