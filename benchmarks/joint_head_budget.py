"""The noise and range budget of the joint head's solve (`joint_head/`), from sizes alone: nothing is run.

Bytes, rounds and errors of the ways to multiply: with a dealer, without one as it is built, one row of a matrix a
polynomial as lattice/ packs networks, and with other moduli. And what the check of a solve refuses and passes, from its
distribution. `joint_head_solves.py` measures eigenvalues, ranges and errors on features.

    python benchmarks/joint_head_budget.py --output budget.json
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures_file import write_figures
from rich.console import Console
from rich.table import Table
from scipy.integrate import quad
from scipy.stats import chi2, norm

from smule_crypten.joint_head.cost import solve_cost
from smule_crypten.joint_head.dealing import DealtProducts
from smule_crypten.joint_head.lattice_layout import Layout, cheapest
from smule_crypten.joint_head.lattice_polynomials import Sizes
from smule_crypten.joint_head.lattice_products import SIZES as AS_BUILT
from smule_crypten.joint_head.lattice_products import LatticeProducts
from smule_crypten.joint_head.plan import PRECISION_BITS, SolvePlan
from smule_crypten.joint_head.products import MatrixName, Products
from smule_crypten.joint_head.roles import NOISE
from smule_crypten.lattice.parameters import Lattice

ROW_NORM = 6.7
"""Of M_P^-1 at most, where the ridge is 0.15: an error grows with it, up to lattice_products.MOST_DEVIATION."""


@dataclass(frozen=True)
class Way:
    """A way to multiply with lattices. scale: digits of Delta. lift: whether roundings need one."""

    name: str
    degree: int
    modulus: int
    scale: int
    stacked: bool
    lift: bool

    @property
    def ring(self) -> int:
        return self.modulus - self.scale

    @property
    def sizes(self) -> Sizes:
        """Roundings of c1 and p make the same error, in units, as they do as built; that of b the same in residues."""
        masked = self.ring - (AS_BUILT.modulus_bits - AS_BUILT.scale_bits - AS_BUILT.masked_bits)
        lattice = Lattice(self.degree, self.modulus, 0.0, "compared alone")
        return Sizes(lattice, self.scale, masked, self.modulus - (AS_BUILT.modulus_bits - AS_BUILT.input_bits))


WAYS = (
    Way("as built: k = 56, no lift", 4096, 64, 8, True, False),
    Way("the same, a polynomial a row", 4096, 64, 8, False, False),
    Way("k = 48 and a lift", 4096, 64, 16, True, True),
    Way("k = 48, q = 2^52, and a lift", 2048, 52, 4, True, True),
    Way("k = 64, q = 2^72 (RNS)", 4096, 72, 8, True, False),
)


def way_figures(way: Way, plan: SolvePlan) -> dict[str, Any]:
    """Bytes of one solve both ways, by what they are for."""
    sizes, iterations = way.sizes, plan.iterations
    masked = given = 0.0
    uses: dict[MatrixName, int] = {"inverse": iterations + 1, "gram": iterations, "probes": 1}
    for name, count in uses.items():
        rows = plan.probes if name == "probes" else plan.features
        layout = Layout(way.degree, rows, plan.features, plan.outputs, 1, plan.outputs)
        if way.stacked:
            layout = cheapest(layout, matrices=1, inputs=count, bits=(sizes.masked_bits, sizes.input_bits))
        masked += layout.groups * way.degree * sizes.masked_bits / 8
        given += count * _given_bytes(sizes, layout)
        if name == "inverse":
            rows_norm = ROW_NORM * 2.0**PRECISION_BITS * math.sqrt(layout.stacked)
            error, stacked = sizes.deviation(rows_norm) / 2.0**PRECISION_BITS, layout.stacked
    values = (1 + 3 * iterations) * plan.features * plan.outputs
    lifts = values * (1 + 64 - way.ring + PRECISION_BITS) / 8 if way.lift else 0.0
    rounds = 2 * iterations + 2 + (2 * (1 + 3 * iterations) if way.lift else 0)
    total = masked + given + lifts
    return {
        "way": way.name, "k": way.ring, "rows_a_polynomial": stacked, "rounds": rounds, "error_units": error,
        "masked_MB": masked / 1e6, "given_MB": given / 1e6, "lifts_MB": lifts / 1e6, "total_MB": total / 1e6,
    }  # fmt: skip


def _given_bytes(sizes: Sizes, layout: Layout) -> float:
    """One row a polynomial needs only the coefficients that hold a number."""
    numbers = layout.features * layout.columns
    if layout.stacked > 1:
        numbers = layout.blocks * layout.channels * sizes.degree
    return (layout.blocks * sizes.degree * sizes.masked_bits + numbers * sizes.input_bits) / 8


def solve_figures(plan: SolvePlan, products: type[Products]) -> dict[str, float]:
    cost_P, cost_Q = solve_cost(plan, products)
    dealer = cost_P.dealer_bytes + cost_Q.dealer_bytes
    return {"link_MB": cost_P.bytes_total / 1e6, "dealer_MB": dealer / 1e6, "rounds": cost_P.rounds}


def check_figures(plan: SolvePlan) -> dict[str, float]:
    """Probabilities: a good head is refused; one that is off by so many tolerances passes (Chernoff's bound)."""
    ratio = (plan.tolerance / NOISE) ** 2 / 2
    found = {"refused": float(chi2.sf(plan.probes * ratio, plan.probes))}
    for off in (4, 5, 10, 20):
        found[f"passes_{off}"] = min(_chernoff(t, plan.probes, off) for t in np.logspace(-1, 4, 100))
    return found


def _chernoff(t: float, probes: int, off: float) -> float:
    """P(mean of x^2 y^2 <= 1 / off^2) for normal x, y: one direction, one output."""
    mean, _ = quad(lambda y: (1 + 2 * t * y * y) ** -0.5 * norm.pdf(y), -9, 9, points=[0.0])
    return math.exp(min(700.0, probes * (t / off**2 + math.log(mean))))


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row.values()))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", default="1281x10,3201x10,65x10", help="features, the constant one included, x outputs"
    )
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    console = Console(width=160)
    figures: dict[str, Any] = {}
    for size in options.sizes.split(","):
        features, outputs = map(int, size.split("x"))
        plan = SolvePlan(rows=40_000, features=features, outputs=outputs, ridge=1 / ROW_NORM)
        ways = [way_figures(way, plan) for way in WAYS]
        figures[size] = {
            "dealer": solve_figures(plan, DealtProducts),
            "none": solve_figures(plan, LatticeProducts),
            "ways": ways,
        }
        console.print(f"{size}: with a dealer {figures[size]['dealer']}, without {figures[size]['none']}")
        show(console, ways)
    figures["check"] = check_figures(plan)
    console.print("check:", figures["check"])
    if options.output:
        write_figures(options.output, "joint_head_budget", 1, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
