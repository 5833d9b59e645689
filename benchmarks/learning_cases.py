"""One setting and seed of the learning benchmark: each method once, its result kept as a file of its own."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from learning_simulation import Pair
from torch import nn

from smule_crypten.config.sections import SchemeConfig, TrainingConfig
from smule_crypten.files import write_atomic

Result = dict[str, Any]
PARTIES = ("a", "b")
CONTROLS = ("label_smoothing", "self_mutual", "self_distillation")
"""What a party can do without a peer, beside training alone."""
BOUNDS = ("full exchange", "pooled")
"""What no budget pays for."""
METHODS = ("alone", *CONTROLS, "smule", *BOUNDS)


@dataclass(frozen=True)
class Kept:
    """A folder of results, so that what is finished is not run again, by whichever process."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json".replace(" ", "_")

    def get(self, name: str, compute: Callable[[], Result]) -> Result:
        path = self.path(name)
        if not path.exists():
            started = time.perf_counter()
            result = compute() | {"name": name}
            result["seconds"] = round(time.perf_counter() - started, 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(result, indent=1)
            write_atomic(path, lambda file: file.write(text.encode()))
            print(f"{name}: {text}", flush=True)
        return read(path)


def read(path: Path) -> Result:
    result: Result = json.loads(path.read_text())
    return result


class Case:
    """Args:
    name: of setting and seed.
    scheme: whose bytes are counted.
    """

    def __init__(self, pair: Pair, name: str, kept: Kept, scheme: SchemeConfig) -> None:
        self._pair, self._name, self._kept, self._scheme = pair, name, kept, scheme
        self._ranks = pair.setting.ranks

    def run(self, budget_mb: float, config: TrainingConfig, methods: Sequence[str]) -> None:
        """Each of methods (METHODS), in this order."""
        queries = self._pair.queries_for(int(budget_mb * 10**6), self._scheme)
        compute: dict[str, Callable[[], Result]] = {
            "alone": self._alone,
            **{control: functools.partial(self._control, control) for control in CONTROLS},
            "smule": lambda: self._mutual(queries, config),
            "full exchange": lambda: self._mutual((None, None), config),
            "pooled": self._pooled,
        }
        for method in methods:
            self._get(method, compute[method])

    def run_variant(self, variant: str, budget_mb: float, config: TrainingConfig) -> None:
        """SMuLe alone, with other settings, kept under a name of its own."""
        queries = self._pair.queries_for(int(budget_mb * 10**6), self._scheme)
        self._get(f"smule, {variant}", lambda: self._mutual(queries, config))

    def _alone(self) -> Result:
        both = (self.alone(0), self.alone(1))
        return {party: self._pair.accuracy(model) for party, model in zip(PARTIES, both, strict=True)}

    def alone(self, rank: int) -> nn.Module:
        """Trained once and kept."""
        path = self._kept.folder / self._name.replace(" ", "_") / f"alone_{rank}.pt"
        if path.exists():
            model = self._pair.network(rank)
            model.load_state_dict(torch.load(path, weights_only=True))
            return model
        model = self._pair.alone(rank)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: torch.save(model.state_dict(), file))
        return model

    def _get(self, method: str, compute: Callable[[], Result]) -> None:
        self._kept.get(f"{self._name}/{method}", compute)

    def _accuracies(self, models: list[nn.Module]) -> Result:
        """Of the measured parties."""
        return {PARTIES[rank]: self._pair.accuracy(model) for rank, model in zip(self._ranks, models, strict=False)}

    def _control(self, name: str) -> Result:
        return self._accuracies([self._pair.control(name, rank, self.alone(rank)) for rank in self._ranks])

    def _mutual(self, queries: tuple[int | None, int | None], config: TrainingConfig) -> Result:
        alone = self.alone(0), self.alone(1)
        students = self._pair.mutual(alone, queries, config)
        result = self._accuracies(students)
        for rank, student in zip(self._ranks, students, strict=True):
            result[f"joint_{PARTIES[rank]}"] = self._pair.joint(rank, student, alone[1 - rank])
            result[f"joint_alone_{PARTIES[rank]}"] = self._pair.joint(rank, alone[rank], alone[1 - rank])
        if queries[0] is not None and queries[1] is not None:
            cost = self._pair.cost((queries[0], queries[1]), self._scheme)
            result |= {"queries": queries, "online_bytes": cost.online_bytes, "all_bytes": cost.all_bytes}
        return result

    def _pooled(self) -> Result:
        first, second = (holding.train for holding in self._pair.holdings)
        return {"a": self._pair.accuracy(self._pair.alone(0, first.with_others(second)))}
