"""The figures of joint_head_risk.py as tables of Markdown, means over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Figures = Sequence[dict[str, Any]]
SIGMAS = (0.0, 0.05, 0.2, 1.0)


def markdown(found: dict[str, Figures]) -> str:
    """All tables of what was measured, each under its heading."""
    parts: dict[str, Callable[[Figures], str]] = {
        "recovery": _recovery,
        "membership": _membership,
        "chosen_sums": _chosen_sums,
        "poisoning": _poisoning,
    }
    return "\n".join(parts[name](figures) for name, figures in found.items())


def _recovery(figures: Figures) -> str:
    """A row of each number of answers, and the range over parties and seeds where it matters most."""
    rows = []
    for answers in _in_order(figures, "answers"):
        some = [one for one in figures if one["answers"] == answers]
        means = [_mean(one["accuracy"] for one in some if one["sigma"] == sigma) for sigma in SIGMAS]
        regained = [
            100 * (one["accuracy"] - one["own"]) / (one["joint"] - one["own"]) for one in some if one["sigma"] == 0.2
        ]
        rows.append([answers, *(f"{mean:.1f}" for mean in means), f"{_mean(regained):.0f} %"])
    own, joint = (_mean(one[name] for one in figures) for name in ("own", "joint"))
    title = f"### Accuracy of the head recovered from answers (own head {own:.1f}, joint head {joint:.1f})\n"
    return title + _table(["answers", *(f"noise {sigma:g}" for sigma in SIGMAS), "of the gain, noise 0.2"], rows)


def _membership(figures: Figures) -> str:
    rows = []
    for others in _in_order(figures, "others"):
        some = [one for one in figures if one["others"] == others]
        for way in _in_order(some, "way"):
            same = [one for one in some if one["way"] == way]
            if way == "two solves":
                rows.append([f"{others:,}", way, f"cosine {_mean(one['cosine'] for one in same):.4f}", "", "", "", ""])
                continue
            by_sigma = [[one for one in same if one["sigma"] == sigma] for sigma in SIGMAS]
            aucs = [f"{_mean(one['auc'] for one in part):.2f}" if part else "" for part in by_sigma]
            shown = by_sigma[2] or by_sigma[0]
            rows.append([f"{others:,}", way, *aucs, f"{100 * _mean(one['found'] for one in shown):.1f} %"])
    title = "### Rows of the other party told from rows of nobody, AUC\n"
    heads = ["its rows", "by", *(f"noise {sigma:g}" for sigma in SIGMAS), "found at 0.1 % false positives, noise 0.2"]
    return title + _table(heads, rows)


def _chosen_sums(figures: Figures) -> str:
    rows = []
    keys = sorted({(one["what"], one["role"], one["size"]) for one in figures})
    for what, role, size in keys:
        some = [one for one in figures if (one["what"], one["role"], one["size"]) == (what, role, size)]
        passed = ", ".join({0: "no", 1: "first", 2: "second"}[one["accepted"]] for one in some)
        effect = (
            f"names the same class as the installed head on {_mean(one['same'] for one in some):.1f} %"
            if what == "install"
            else f"one answer and u^T H: correlation {_mean(one['correlation'] for one in some):.3f}"
        )
        rows.append([what, role, f"{size:g}", passed, effect])
    return "### Chosen sums\n" + _table(["what", "role", "size a row", "attempt that passed, by seed", "effect"], rows)


def _poisoning(figures: Figures) -> str:
    parts = []
    for alpha in _in_order(figures, "alpha"):
        some = [one for one in figures if one["alpha"] == alpha]
        honest = {one["seed"]: one for one in some if one["poison"] == "none"}
        rows = [
            _poison_row(name, [one for one in some if one["poison"] == name], honest)
            for name in _in_order(some, "poison")
        ]
        own, alone = (_mean(one[name] for one in honest.values()) for name in ("own_head", "alone"))
        heads = [
            "poison of party b", "trigger", "head", "a's guess of it", "a's student of the guess", "of the head itself",
            "alarm, deviations by seed", "weight of the guess, own losses", "of both",
        ]  # fmt: skip
        title = f"### Poison, Dirichlet {alpha:g}: accuracy / success (own head {own:.1f}, network alone {alone:.1f})\n"
        parts.append(title + _table(heads, rows))
    return "\n".join(parts)


def _poison_row(name: str, some: Figures, honest: dict[int, dict[str, Any]]) -> list[str]:
    trigger = name.split(":")[0] if ":" in name else "pattern 0.5"

    def figure(what: str) -> str:
        if ":" not in name and name != "none":  # labels alone: there is no trigger
            return f"{_mean(one[what]['accuracy'] for one in some):.1f}"
        success = _mean(one[what]["success"][trigger] for one in some)
        before = _mean(honest[one["seed"]][what]["success"][trigger] for one in some)
        return f"{_mean(one[what]['accuracy'] for one in some):.1f} / {success:.1f} ({success - before:+.1f})"

    return [
        name, trigger, *(figure(what) for what in ("head", "guess", "student_guess", "student_head")),
        ", ".join(f"{one['alarm']:+.1f}" for one in some),
        f"{_mean(one['weight_own'] for one in some):.1f}", f"{_mean(one['weight_sum'] for one in some):.1f}",
    ]  # fmt: skip


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _in_order(figures: Figures, key: str) -> list[Any]:
    return list(dict.fromkeys(one[key] for one in figures))


def _mean(values: Iterable[float]) -> float:
    return statistics.mean(values)
