"""Solves of the joint head (`joint_head/`) on features, both roles in one process and without a link.

For splits of the classes between two parties: the largest eigenvalue, the size of numbers and the wraps expected in
rings of 64, 56 and 48 bits, how far the outputs are off the exact head's, and accuracy beside the exact head and
those of each party alone. Exits with 1 where outputs are further off than the tolerance of the check, or messages are
not as long as the cost says.

    python benchmarks/joint_head_solves.py --output solves.json
    python benchmarks/joint_head_solves.py --features features.npz --products dealt,lattice

The file holds features (N, F), classes (N,), test_features and test_classes; without one, the pixels of digits.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures_file import write_figures
from rich.console import Console
from sklearn.datasets import load_digits

from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.head_run.sizes import HeadSizes, own_penalty
from smule_crypten.joint_head.cost import solve_cost
from smule_crypten.joint_head.dealing import DealtProducts, SolveDealer
from smule_crypten.joint_head.integers import as_weights, own_gram, own_inverse, own_matrix, own_moments
from smule_crypten.joint_head.lattice_products import LatticeProducts
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.products import Products
from smule_crypten.joint_head.roles import GramRole, PreconditionerRole, SolveRole
from smule_crypten.joint_head.solve_in_clear import exact_head, solve
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum, one_hot_targets, with_constant
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream

TOLERANCE = 0.05
"""Of SolvePlan."""


@dataclass(frozen=True)
class Rows:
    features: torch.Tensor
    classes: torch.Tensor

    def of(self, chosen: torch.Tensor) -> Rows:
        return Rows(self.features[chosen], self.classes[chosen])

    def shuffled(self) -> Rows:
        """Always alike."""
        return self.of(torch.randperm(len(self.classes), generator=torch.Generator().manual_seed(0)))


def load(path: Path | None) -> tuple[Rows, Rows, float]:
    """Train, test, and the norm that rows are clipped to: twice that of a row of standardised features."""
    if path is None:
        digits = load_digits()
        pixels = torch.tensor(digits.data / 6 - 0.8, dtype=torch.float32)
        both = Rows(pixels, torch.tensor(digits.target))
        order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
        train, test = both.of(order[:1300]), both.of(order[1300:])
    else:
        with np.load(path) as file:
            parts = {name: torch.from_numpy(file[name]) for name in file.files}
        train, test = Rows(parts["features"], parts["classes"]), Rows(parts["test_features"], parts["test_classes"])
    return train, test, 2 * math.sqrt(train.features.size(1))


def head_sizes(features: int, outputs: int, penalty: float, bound: float, iterations: int) -> HeadSizes:
    """As those of a run. penalty: of a feature."""
    terms = JointHeadTerms(
        name="ridge", features=features, penalty=penalty * features, bound=bound, iterations=iterations
    )
    return HeadSizes(terms=terms, outputs=outputs, opening="differences")


def statistics_of(rows: Rows, outputs: int, clip_norm: float) -> Statistics:
    total = StatisticsSum(rows.features.size(1), outputs, clip_norm)
    for features, classes in zip(torch.split(rows.features, 4096), torch.split(rows.classes, 4096), strict=True):
        total.add(features, one_hot_targets(classes, outputs))
    return total.total()


def split(classes: torch.Tensor, alpha: float, seed: int) -> torch.Tensor:
    """Whose rows are party a's: (N,) bool."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([alpha, alpha], size=int(classes.max()) + 1)[:, 0]
    return torch.tensor(rng.random(len(classes)) < shares[classes.numpy()])


class Speaker:
    def __init__(self, role: SolveRole) -> None:
        self.role, self.script = role, role.run()
        self.wanted: Any = None
        self.result = torch.empty(0)
        self.heard: deque[torch.Tensor] = deque()
        self.go(None)

    def go(self, data: torch.Tensor | None) -> None:
        try:
            self.wanted = next(self.script) if data is None else self.script.send(data)
        except StopIteration as end:
            self.wanted, self.result = None, end.value


def converse(first: SolveRole, second: SolveRole) -> tuple[torch.Tensor, int]:
    """The sum of the results, and the bytes that were said."""
    speakers, said, went_on = [Speaker(first), Speaker(second)], 0, True
    while went_on:
        went_on = False
        for number, speaker in enumerate(speakers):
            posts, speaker.role.outbox = speaker.role.outbox, []
            speakers[1 - number].heard.extend(post.data for post in posts)
            said += sum(post.data.nbytes for post in posts)
        for speaker in speakers:
            if speaker.wanted is not None and speaker.heard:
                speaker.go(speaker.heard.popleft())
                went_on = True
    return speakers[0].result + speakers[1].result, said


def products_of(kind: str, plan: SolvePlan, seed: int) -> tuple[Products, Products]:
    def stream(purpose: str) -> Stream:
        return Stream(insecure_key(seed, purpose))

    if kind == "lattice":
        key = insecure_key(seed, "public")
        return LatticeProducts(plan, key, stream("masks P")), LatticeProducts(plan, key, stream("masks Q"))
    dealer = SolveDealer(plan, stream("T and P"), stream("T and Q"))
    waiting: dict[bool, deque[torch.Tensor]] = {True: deque([dealer.right_side()]), False: deque()}
    rest = (one for attempt in plan.attempts for one in dealer.attempt(attempt))

    def receive(to_P: bool) -> torch.Tensor:
        while not waiting[to_P]:
            who, data = next(rest)
            waiting[who].append(data)
        return waiting[to_P].popleft()

    return (
        DealtProducts(plan, stream("T and P"), lambda _: receive(True)),
        DealtProducts(plan, stream("T and Q"), lambda _: receive(False)),
    )


def under_sharing(kind: str, plan: SolvePlan, first: Statistics, second: Statistics, seed: int) -> dict[str, Any]:
    """One solve by both roles."""
    started = time.process_time()
    side_P, side_Q = products_of(kind, plan, seed)
    roles = [
        cls(
            plan,
            own,
            products=side,
            local=Stream(insecure_key(seed, name)),
            common=Stream(insecure_key(seed, "common")),
        )
        for cls, own, side, name in ((PreconditionerRole, first, side_P, "P"), (GramRole, second, side_Q, "Q"))
    ]
    integers, said = converse(roles[0], roles[1])
    attempts = len(roles[0].opened)
    due = solve_cost(plan, type(side_P), attempts)[0].bytes_total
    return {
        "weights": as_weights(integers), "attempts": attempts, "bytes": said, "is_as_planned": said == due,
        "seconds": time.process_time() - started,
        "probed": math.sqrt(sum(x * x for x in roles[0].opened[-1]) / plan.probes / plan.outputs),
    }  # fmt: skip


def accuracy(weights: torch.Tensor, test: Rows, clip_norm: float) -> float:
    logits = with_constant(test.features, clip_norm) @ weights
    return 100 * float((logits.argmax(dim=1) == test.classes).double().mean())


def solve_figures(
    train: Rows, test: Rows, clip_norm: float, alpha: float, seed: int, kinds: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    outputs = int(train.classes.max()) + 1
    is_a = split(train.classes, alpha, seed)
    parts = [statistics_of(train.of(part), outputs, clip_norm) for part in (is_a, ~is_a)]
    first, second = sorted(parts, key=lambda one: -one.rows)
    joint = first + second
    sizes = head_sizes(joint.features, outputs, options.penalty, options.bound, options.iterations)
    plan, ridge = sizes.solve_plan(joint.rows), sizes.penalty(joint.rows) / joint.rows
    exact = exact_head(joint, ridge * plan.rows)
    matrix, gram = own_matrix(first, plan), joint.gram_DD / plan.rows
    factor = torch.linalg.cholesky(matrix)
    halved = torch.linalg.solve_triangular(factor, second.gram_DD / plan.rows, upper=False)
    largest = 1 + float(torch.linalg.eigvalsh(torch.linalg.solve_triangular(factor, halved.T, upper=False))[-1])
    clear = solve(
        own_inverse(first, plan), own_gram(second, plan), own_moments(first, plan), own_moments(second, plan),
        plan.attempts[0], Stream(insecure_key(seed, "clear")).ring_elements,
    )  # fmt: skip

    def off(weights: torch.Tensor) -> float:
        error = weights - exact
        return float((error * (gram @ error)).sum(dim=0).mean().sqrt())

    own_heads = [exact_head(one, own_penalty(sizes.terms.penalty, one.rows)) for one in (first, second)]
    found: dict[str, Any] = {
        "alpha": alpha, "seed": seed, "rows": [first.rows, second.rows], "largest_eigenvalue": largest,
        "largest_bits": clear.range.largest_bits, "wraps_64": clear.range.wraps(64), "wraps_56": clear.range.wraps(56),
        "wraps_48": clear.range.wraps(48), "row_norm_inverse": float(torch.linalg.inv(matrix).norm(dim=1).max()),
        "row_norm_gram": float((second.gram_DD / plan.rows).norm(dim=1).max()),
        "output_deviation": float((exact * (gram @ exact)).sum(dim=0).mean().sqrt()),
        "off_clear": off(as_weights(clear.weights_DC)), "exact": accuracy(exact, test, clip_norm),
        "clear": accuracy(as_weights(clear.weights_DC), test, clip_norm),
        "own": [accuracy(head, test, clip_norm) for head in own_heads],
    }  # fmt: skip
    for kind in kinds:
        one = under_sharing(kind, plan, first, second, seed)
        weights = one.pop("weights")
        found[kind] = one | {"off": off(weights), "accuracy": accuracy(weights, test, clip_norm)}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--alphas", default="0.1,0.5", help="of the Dirichlet distributions of classes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--products", default="dealt,lattice", help="how to multiply; empty for the clear alone")
    parser.add_argument("--bound", type=float, default=32.0, help="of the first attempt")
    parser.add_argument("--iterations", type=int, default=14)
    parser.add_argument("--penalty", type=float, default=2.0, help="of a feature")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test, clip_norm = load(options.features)
    kinds = [kind for kind in options.products.split(",") if kind]
    solves = []
    for alpha in map(float, options.alphas.split(",")):
        for seed in range(options.seeds):
            solves.append(solve_figures(train, test, clip_norm, alpha, seed, kinds, options))
            Console().print(solves[-1])
    if options.output:
        write_figures(options.output, "joint_head_solves", options.threads, {"clip_norm": clip_norm, "solves": solves})
    runs = [one[kind] for one in solves for kind in kinds]
    return int(any(not run["is_as_planned"] or run["off"] > TOLERANCE for run in runs))


if __name__ == "__main__":
    sys.exit(main())
