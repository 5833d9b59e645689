"""What a party that follows the protocol learns of the other one's weights from rounding.

    python benchmarks/rounding_leak.py --scheme lean --network small_convnet --queries 3200 --kind repeated --seeds 10
    python benchmarks/rounding_leak.py --scheme lean --network mlp --queries 3200 --kind repeated --rounding local

D asks, M answers, D fits the opened logits to all that it knows of the roundings (attacks/rounding.py). A table has a
row for each seed, which is a network, a sample and queries of its own. The last line, "correlation <number>", is the
mean over the seeds of the correlation of D's guess with the true weights of the last layer, of units that are active.

--rounding protocol is the scheme as it is, with the noise that its rule adds for so many answers (--noise none leaves
it out). --rounding local is the control, in which D must find the weights, without noise: for lean its first version,
where each party dropped the low bits of its own share; crypten does that to this day, so for it the control is crypten
without noise; for two_party a data owner that keeps whole units of its share, as --guard-bits 0 has it.

Kinds of queries: one sample repeated; distinct ones, which change a few values of one sample by tiny steps; images,
which differ in everything. --source protocol plays the real roles of lean (slow); simulated computes the same in the
clear. --opening values opens each logit itself, as labels of their own and regression need.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import torch
from figures_file import write_figures
from rounding_sources import SCHEMES, Asked, answers
from rounding_tasks import NETWORKS, Subject, load_subject

from smule_crypten.attacks.rounding import RoundingAttack, chance, correlation, weights_compared
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.lattice.parameters import GUARD_BITS
from smule_crypten.types import LogitOpening

ANSWERS_SEED, NOISE_SEED = 2000, 3000
"""Generators of one seed give numbers that go together, whatever they are drawn as."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """See the options of the command line."""

    scheme: str
    network: str
    queries: int
    kind: str
    rounding: str = "protocol"
    noise: str = "default"
    source: str = "simulated"
    opening: LogitOpening = "differences"
    guard_bits: int = GUARD_BITS


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parsed(arguments)
    torch.set_num_threads(1)
    case = Case(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Case)})
    rows = []
    for seed in range(options.seeds):
        rows.append(measure(case, load_subject(case.network, seed)))
        _print_row(rows[-1], is_first=seed == 0)
    mean = fmean(row["correlation"] for row in rows)
    if options.output:
        write_figures(
            options.output, "rounding_leak", 1, {"case": dataclasses.asdict(case), "mean": mean, "rows": rows}
        )
    print(f"correlation {mean:.4f}")


def measure(case: Case, subject: Subject) -> dict[str, Any]:
    """What D finds of this subject's weights.

    Raises:
        UnshareableModelError: the scheme refuses the network, or so many answers of it.
    """
    queries = subject.queries(case.kind, case.queries)
    active = subject.active_units(queries.batches)
    true_UC = subject.last_layer.weight.detach().T[active]
    asked = Asked.of(case.scheme, subject.model, subject.calibration_NX, case.opening)
    seed = ANSWERS_SEED + subject.seed
    got = answers(asked, queries.batches, case.rounding, case.source, seed, case.guard_bits)
    sigma = 0.0
    if case.rounding == "protocol" and case.noise == "default":
        sigma = NoiseRule(num_answers=case.queries).sigma(asked.answerer.scatter)
    generator = torch.Generator().manual_seed(NOISE_SEED + subject.seed)
    noise = torch.randn(got.logits_QC.shape, dtype=torch.float64, generator=generator)
    others = [columns for columns in (queries.changes_QK, got.others_QK) if columns is not None]
    attack = RoundingAttack(got.knowledge, torch.cat(others, dim=1) if others else None, case.opening)
    found = attack.guesses(got.logits_QC + sigma * noise)
    by_kind = {guess.kind: correlation(guess.weights_UC[active], true_UC, case.opening) for guess in found}
    row = {
        "seed": subject.seed,
        "accuracy": subject.accuracy,
        "queries": len(got.logits_QC),
        "sigma": sigma,
        "weights compared": weights_compared(true_UC, case.opening),
        "limit": 3 * chance(true_UC, case.opening),
        "guessed from": found[0].kind,
        "correlation": by_kind[found[0].kind],
        "each kind of knowledge": by_kind,
    }
    if sigma:
        bare = attack.guesses(got.logits_QC)[0]
        row["without noise"] = correlation(bare.weights_UC[active], true_UC, case.opening)
    return row


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", choices=SCHEMES, required=True)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--queries", type=int, required=True, help="answers that D gets, and the Q of the noise rule")
    parser.add_argument("--kind", choices=("repeated", "distinct", "images"), default="repeated")
    parser.add_argument("--rounding", choices=("protocol", "local"), default="protocol")
    parser.add_argument("--noise", choices=("default", "none"), default="default")
    parser.add_argument("--source", choices=("simulated", "protocol"), default="simulated")
    parser.add_argument("--opening", choices=get_args(LogitOpening), default="differences")
    parser.add_argument("--guard-bits", type=int, default=GUARD_BITS, help="of two_party; the noise is that of its own")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0 (default 10)")
    parser.add_argument("--output", type=Path, help="a JSON file for all figures")
    options = parser.parse_args(arguments)
    if options.source == "protocol" and options.scheme != "lean":
        parser.error("--source protocol plays the roles of lean only, which need one process")
    if options.guard_bits != GUARD_BITS and options.scheme != "two_party":
        parser.error("--guard-bits is of scheme two_party alone")
    if min(options.queries, options.seeds) < 1:
        parser.error("--queries and --seeds must be at least 1")
    return options


def _print_row(row: dict[str, Any], *, is_first: bool) -> None:
    columns = {
        "seed": row["seed"],
        "accuracy": f"{row['accuracy']:.3f}",
        "Q": row["queries"],
        "sigma": f"{row['sigma']:.4f}",
        "weights compared": row["weights compared"],
        "3 / sqrt of them": f"{row['limit']:.3f}",
        "correlation": f"{row['correlation']:+.3f}",
        "guessed from": row["guessed from"],
        "without noise": f"{row['without noise']:+.3f}" if "without noise" in row else "–",
        "each kind": ", ".join(f"{kind} {value:+.3f}" for kind, value in row["each kind of knowledge"].items()),
    }
    if is_first:
        print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    print("| " + " | ".join(map(str, columns.values())) + " |", flush=True)


if __name__ == "__main__":
    main()
