"""What the joint head tells, and what poisons it: recovery from answers, membership, chosen sums, poisoned rows.

In the clear: heads are solved exactly. In the protocol a party adds noise to its share of the weights once (ONCE), and
answers are of these. Fresh noise on each answer (FRESH), which is not built, is the control. Recovery is by either
party, membership by party a; chosen sums and poison are party b's.

    scripts/bench joint_head_risk --data path/to/cifar10 --page tables.md --output risk.json   # minutes on one core
    scripts/bench joint_head_risk                                                              # digits and their pixels
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from figures_file import write_figures
from risk_poison import poisoned
from risk_tables import SIGMAS, markdown
from risk_world import MAPS, Rows, World, holdings, load

from smule_crypten.attacks.head_matrices import installed, probing
from smule_crypten.attacks.head_membership import (
    Knowledge,
    sample_between,
    scores_by_answers,
    scores_by_head,
    scores_one_by_one,
    telling_rows,
)
from smule_crypten.attacks.head_recovery import widest_rows
from smule_crypten.attacks.membership import membership_risk
from smule_crypten.config.joint_head import DEVIATION
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.estimate import estimated_head
from smule_crypten.joint_head.integers import as_weights, own_gram, own_inverse, own_matrix, own_moments
from smule_crypten.joint_head.solve_in_clear import exact_head, solve
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream

_CHOSEN = (
    *(("install", "P", size) for size in (30.0, 300.0, 1000.0)),
    *((what, "Q", size) for what in ("install", "probe") for size in (3.0, 9.0, 18.0)),
)
"""What, in which role, and the size of the sums a row. As P a probe would leave the range of own_inverse."""
FRESH = ", fresh noise"
ONCE = "all weights, noise drawn once"
REPEATS = 16
SHARES = (8, 4, 2, 1)
"""D over these: how many answers."""


def noise_like(answers_QC: torch.Tensor, sigma: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return sigma * DEVIATION * torch.randn(answers_QC.shape, generator=generator, dtype=torch.float64)


def noisy_weights(head: torch.Tensor, sigma: float, seed: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """The axes, the head under noise that is drawn once, and its deviation.

    A row as long as one of standardised features, the root of D, then has an output with noise of sigma.
    """
    noisy = head + noise_like(head, sigma, seed) / len(head) ** 0.5
    return torch.eye(len(head), dtype=torch.float64), noisy, sigma * DEVIATION / len(head) ** 0.5


def recovery(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Both parties, by number of answers and noise; questions are own rows, or (D/4 only) rows made for it.

    Answers of the head whose weights bear noise, and as many under fresh noise.
    """
    for seed in range(options.seeds):
        both = [world.train.of(part.labelled) for part in holdings(world, options.alpha, seed, options.rows)]
        sums = [rows.statistics() for rows in both]
        dimension, penalty = sums[0].features, world.penalty(sums[0].rows + sums[1].rows)
        head = exact_head(sums[0] + sums[1], penalty)
        for party, (own, rows) in enumerate(zip(sums, both, strict=True)):
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            questions = {
                f"D/{share}" if share > 1 else "D": rows.of(order[: dimension // share]).rows_ND for share in SHARES
            }
            questions["D/4 of chosen rows"] = widest_rows(own, dimension // 4, rows.clip_norm)
            common = {"seed": seed, "party": "ab"[party], "rows": own.rows, "joint": world.test.accuracy(head)}
            common["own"] = world.test.accuracy(exact_head(own, world.own_penalty(own.rows)))
            for name, rows_QD in questions.items():
                for sigma in SIGMAS:
                    told = {"sigma": sigma}
                    fresh = rows_QD @ head + noise_like(rows_QD @ head, sigma, seed)
                    guess = _guess(own, rows_QD, fresh, (sigma * DEVIATION, 0.0), penalty)
                    yield common | told | {"answers": name + FRESH, "accuracy": world.test.accuracy(guess)}
                    _, noisy, on_weights = noisy_weights(head, sigma, seed)
                    answers = rows_QD @ noisy + noise_like(rows_QD @ head, FLOODING / DEVIATION, seed + 1)
                    guess = _guess(own, rows_QD, answers, (FLOODING, on_weights), penalty)
                    yield common | told | {"answers": name, "accuracy": world.test.accuracy(guess)}
            for sigma in SIGMAS:
                noisy = noisy_weights(head, sigma, seed)[1]
                yield common | {"answers": ONCE, "sigma": sigma, "accuracy": world.test.accuracy(noisy)}


def _guess(
    own: Statistics, rows_QD: torch.Tensor, answers: torch.Tensor, noises: tuple[float, float], penalty: float
) -> torch.Tensor:
    """noises: of each answer and of each weight."""
    opened = answers - answers.mean(dim=1, keepdim=True)
    return estimated_head(
        own,
        rows_QD,
        opened,
        noise=noises[0],
        weight_noise=noises[1],
        penalty=penalty,
        opening="differences",
    )


def membership(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Party a with a large part, b with few rows, of the same distribution; as many others as members, at most."""
    for seed in range(options.seeds):
        order = torch.randperm(len(world.train), generator=torch.Generator().manual_seed(seed))
        own_rows, rest = world.train.of(order[: options.own]), order[options.own :]
        own = own_rows.statistics()
        for count in options.others:
            members = rest[:count]
            known = Knowledge(own, own.rows + count, world.penalty(own.rows + count))
            head = exact_head(own + world.train.of(members).statistics(), known.penalty)
            strangers = rest[max(options.others) :]
            yield from _by_head(world, known, head, members, strangers, seed)
            if count in options.asked_about:
                yield from _by_answers(world, known, head, members, strangers, seed)


def _candidates(world: World, members: torch.Tensor, strangers: torch.Tensor, most: int) -> tuple[Rows, int]:
    """Rows of members first, and how many of them."""
    few = min(len(members), len(strangers), most // 2)
    return world.train.of(torch.cat([members[:few], strangers[: most - few]])), few


def _risk(scores_N: torch.Tensor, members: int) -> dict[str, float]:
    risk = membership_risk(scores_N[:members], scores_N[members:])
    return {"auc": risk.auc, "found": risk.true_positives}


def _by_head(
    world: World, known: Knowledge, head: torch.Tensor, members: torch.Tensor, strangers: torch.Tensor, seed: int
) -> Iterator[dict[str, Any]]:
    candidates, few = _candidates(world, members, strangers, min(2 * len(strangers), 4000))
    scores = scores_by_head(known, head, candidates.rows_ND, candidates.targets_NC)
    yield {"seed": seed, "others": len(members), "way": ONCE, "sigma": 0.0, **_risk(scores, few)}
    for sigma in SIGMAS[1:]:
        rows_DD, noisy, noise = noisy_weights(head, sigma, seed)
        scores = scores_by_answers(known, rows_DD, noisy, candidates.rows_ND, candidates.targets_NC, noise=noise)
        yield {"seed": seed, "others": len(members), "way": ONCE, "sigma": sigma, **_risk(scores, few)}
    cosines = []
    for stranger in strangers[:20]:
        more = world.train.of(torch.cat([members, stranger[None]])).statistics()
        rows = known.total_rows + 1
        changed = Knowledge(known.own, rows, world.penalty(rows))
        found = sample_between(known, head, changed, exact_head(known.own + more, changed.penalty))
        row = world.train.of(stranger[None]).rows_ND[0]
        cosines.append(abs(float(found @ row / row.norm())))
    yield {"seed": seed, "others": len(members), "way": "two solves", "cosine": statistics.mean(cosines)}


def _by_answers(
    world: World, known: Knowledge, head: torch.Tensor, members: torch.Tensor, strangers: torch.Tensor, seed: int
) -> Iterator[dict[str, Any]]:
    """FRESH alone: by weights under noise, whatever is asked tells no more than all of them.

    Candidates are asked about, or rows made for them; the last ones also as often as REPEATS says, each alone.
    """
    dimension, common = known.own.features, {"seed": seed, "others": len(members)}
    for name, most in (("D/4", dimension // 4), ("D", dimension)):
        candidates, few = _candidates(world, members, strangers, most)
        rows, targets = candidates.rows_ND, candidates.targets_NC
        made = telling_rows(known, rows, candidates.clip_norm)
        for sigma in SIGMAS:
            for way, asked in (("own samples", rows), ("chosen rows", made)):
                answers = asked @ head + noise_like(asked @ head, sigma, seed)
                scores = scores_by_answers(known, asked, answers, rows, targets, noise=sigma * DEVIATION)
                yield common | {"way": f"{name} {way}{FRESH}", "sigma": sigma, **_risk(scores, few)}
            if name == "D/4":
                yield common | _one_by_one(known, head, candidates, made, few, sigma, seed)


def _one_by_one(
    known: Knowledge, head: torch.Tensor, candidates: Rows, made: torch.Tensor, few: int, sigma: float, seed: int
) -> dict[str, Any]:
    """Each candidate by REPEATS answers to one row and nothing else."""
    answers = made @ head + noise_like(made @ head, sigma / REPEATS**0.5, seed)
    noise = sigma * DEVIATION / REPEATS**0.5
    scores = scores_one_by_one(known, made, answers, candidates.rows_ND, candidates.targets_NC, noise=noise)
    return {"way": f"{REPEATS} answers to one chosen row{FRESH}", "sigma": sigma, **_risk(scores, few)}


def chosen_sums(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Party b puts in chosen sums, as the one with more rows (P) or with fewer (Q), in the protocol's integers."""
    for seed in range(options.seeds):
        both = [world.train.of(part.labelled) for part in holdings(world, options.alpha, seed, options.rows)]
        honest = both[0].statistics()
        penalty = world.penalty(2 * honest.rows)
        false_head = exact_head(both[1].with_classes((both[1].classes + 1) % both[1].outputs).statistics(), penalty)
        direction = both[1].rows_ND.mean(dim=0)
        direction[-1] = 0.0
        direction /= direction.norm()
        for what, role, size in _CHOSEN:
            rows = honest.rows + (1 if role == "P" else -1)
            common = {"seed": seed, "what": what, "role": role, "size": size}
            if what == "install":
                head, accepted = _solved(honest, installed(false_head, rows, size), role, world.sizes)
                yield common | {"accepted": accepted, "same": _agreement(world.test, head, false_head)}
                continue
            head, accepted = _solved(honest, probing(direction, honest.outputs, rows, size), role, world.sizes)
            _, noisy, _ = noisy_weights(head, 0.2, seed)
            told = both[0].clip_norm * direction @ noisy
            pair = torch.stack([told, direction @ honest.moments_DC])
            yield common | {"accepted": accepted, "correlation": float(torch.corrcoef(pair)[0, 1])}


def _solved(honest: Statistics, chosen: Statistics, role: str, sizes: HeadSizes) -> tuple[torch.Tensor, int]:
    """The head, and the attempt that was accepted (0: none), as the expectation of the check says."""
    first, second = (chosen, honest) if role == "P" else (honest, chosen)
    plan = sizes.solve_plan(honest.rows + chosen.rows)
    matrix = own_matrix(first, plan)
    integers = own_inverse(first, plan), own_gram(second, plan), own_moments(first, plan), own_moments(second, plan)
    for number, attempt in enumerate(plan.attempts, start=1):
        found = solve(*integers, attempt, Stream(insecure_key(number, "clear")).ring_elements)
        left = as_weights(found.left_DC)
        if float((left * (matrix @ left)).sum()) <= plan.tolerance**2 * plan.outputs:
            return as_weights(found.weights_DC), number
    return as_weights(found.weights_DC), 0


def _agreement(rows: Rows, first: torch.Tensor, second: torch.Tensor) -> float:
    """Share of rows for which both heads name the same class, in percent."""
    named = [(rows.rows_ND @ head).argmax(dim=1) for head in (first, second)]
    return 100 * float((named[0] == named[1]).double().mean())


def poisoning(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for alpha in (options.alpha, options.even):
        for seed in range(options.seeds):
            both = holdings(world, alpha, seed, options.rows)
            for one in poisoned(world, both, options.fraction, options.epochs, seed):
                yield {"alpha": alpha, "seed": seed, **one}


PARTS: dict[str, Callable[[World, argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "recovery": recovery,
    "membership": membership,
    "chosen_sums": chosen_sums,
    "poisoning": poisoning,
}


def main() -> int:
    whole = functools.partial(int)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with train/<class>/ and test/<class>/; digits without it")
    parser.add_argument("--features", choices=sorted(MAPS), default="trunk", help="of photographs")
    parser.add_argument("--penalty", type=float, default=2.0, help="of the head, for each feature")
    parser.add_argument("--seeds", type=whole, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--alpha", type=float, default=0.1, help="of the Dirichlet distribution of classes")
    parser.add_argument("--even", type=float, default=100.0, help="the same, of the second setting of poisoning")
    parser.add_argument("--epochs", type=whole, help="of a student; 6 with photographs, 60 with digits")
    parser.add_argument("--page", type=Path, help="where the tables go")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    photographs = options.data is not None
    options.rows, options.own = (30_000, 20_000) if photographs else (1_300, 700)
    options.others = (20, 500, 2_000, 20_000) if photographs else (20, 100, 300)
    options.asked_about = (500, 2_000) if photographs else (100, 300)
    options.fraction = 0.01
    options.epochs = options.epochs or (6 if photographs else 60)
    torch.set_num_threads(1)
    world = load(options.data, 2_000, options.features, options.penalty)
    found: dict[str, Sequence[dict[str, Any]]] = {}
    for part in options.parts.split(","):
        found[part] = figures = []
        for one in PARTS[part](world, options):
            figures.append(one)
            print(one, flush=True)
    tables = markdown(found)
    print(tables)
    if options.page:
        options.page.write_text(tables)
    if options.output:
        write_figures(options.output, "joint_head_risk", 1, dict(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
