"""One setting and seed of a comparison, both parties in this process and in the clear; gives no protection.

Every method is a case of its own. Networks that were trained alone are kept beside the cases, since most methods need
them, and many settings the same ones.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, get_args

import torch
from torch import nn

from smule_crypten.baselines.averaging import average_weights
from smule_crypten.config.public_pool import PublicPoolConfig
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import DataConfig
from smule_crypten.config.simulation import ControlName
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import OutputError
from smule_crypten.files import write_atomic
from smule_crypten.mutual_learning.in_process import Option
from smule_crypten.mutual_learning.observer import Phase, Silent
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.party.public_samples import load_bundle_and_pool
from smule_crypten.party.states import digest_of
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.simulation.simulated_data import SimulatedData, load_simulated_data, with_named_networks
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import MethodName, SuiteConfig, changed_by, settings_of
from smule_crypten.suites.with_head import head_figures, own_head_figures
from smule_crypten.training.evaluate import Outcome, accuracy, predict_logits
from smule_crypten.training.kept_training import Finished
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import EpochResult
from smule_crypten.types import PARTY_NAMES

_BATCH = 512
_LOADED: dict[str, Any] = {
    "task": True,
    "data": set(DataConfig.model_fields) - {"target_mean", "target_std"},
    "features": True,
    "public_pool": set(PublicPoolConfig.model_fields) - {"num_queries"},
    "training": {"augmentation"},
}
"""What decides which samples a data set holds. The scale of targets is applied later, and may follow from them."""
_OF_THE_PEER = {"temperature", "distillation_weight", "pool_batch", "teacher", "self_mutual", "trust", "alarm"}
"""Keys of training that change nothing in a training alone."""
_EXACTLY_ONE_EXCHANGE = {"num_queries": None, "budget_mb": None, "share_a": 0.5, "warmup_epochs": 0}


class Bench:
    """Where the cases of a suite find their data, loaded once, and their networks."""

    def __init__(self, store: CaseStore) -> None:
        self.store = store
        self._bundle: tuple[str, DataBundle] | None = None
        self._data: tuple[str, SimulatedData] | None = None

    def cases(self, suite: SuiteConfig, run: RunConfig) -> Iterator[tuple[str, Case]]:
        """Every setting with every seed, and the name of the setting.

        Raises:
            ConfigError: as settings_of.
        """
        torch.set_num_threads(run.launch.threads)
        of_seeds = {seed: settings_of(suite, run, seed) for seed in suite.seeds}
        total = sum(map(len, of_seeds.values()))
        named = [(name, seed, of_seed[name]) for seed, of_seed in of_seeds.items() for name in of_seed]
        for number, (name, seed, setting) in enumerate(named, start=1):
            self.store.say(f"{name}, seed {seed} ({number} of {total})")
            named_run = with_named_networks(setting, self.bundle(setting))
            yield name, Case(self, f"{suite.name} {name}, seed {seed}", named_run)

    def bundle(self, run: RunConfig) -> DataBundle:
        """The data set of a setting."""
        config = run.model_dump_json(include=_LOADED)
        if self._bundle is None or self._bundle[0] != config:
            self._bundle = config, load_bundle_and_pool(run)
        return self._bundle[1]

    def data(self, run: RunConfig) -> SimulatedData:
        """What both hold before an adversary poisons it."""
        shared = run.model_dump(mode="json", include={**_LOADED, "data": True, "partition": True, "seed": True})
        samples = [section.samples.model_dump() for section in (run.party_a, run.party_b)]
        key = json.dumps([shared, samples, run.training.batch_size])
        if self._data is None or self._data[0] != key:
            self._data = None  # so that there is never room needed for two
            self._data = key, load_simulated_data(run, self.bundle(run))
        return self._data[1]


class Case:
    """Results are plain values; accuracies are 0 to 1, those of party a and party b in this order.

    Args:
        title: of suite, setting and seed.
    """

    def __init__(self, bench: Bench, title: str, run: RunConfig) -> None:
        self._bench, self.title, self.run = bench, title, run

    @cached_property
    def here(self) -> InProcess:
        return InProcess(self.run, self._bench.data(self.run))

    @property
    def honest(self) -> int:
        """The rank of the party that the adversary attacks, or would."""
        return 1 - PARTY_NAMES.index(self.run.attack.party)

    def changed(self, title: str, differences: dict[str, Any]) -> Case:
        """The same with another configuration, parsed again."""
        return Case(self._bench, f"{self.title}, {title}", changed_by(self.run, differences))

    def result(self, what: str, compute: Callable[[], dict[str, Any]], **settings: Any) -> dict[str, Any]:
        """What an earlier call has found for this run and these settings, or compute()."""
        settings["run"] = self.run.model_dump(mode="json")
        return self._bench.store.result(f"{self.title}, {what}", settings, lambda folder: compute())

    def method(self, name: MethodName) -> dict[str, Any] | None:
        """What the method came to; None where it cannot be used with this setting.

        Returns:
            accuracies (None for a party of which it was not asked), success of the attack (None without an aim), and
            what else there is to say.
        """
        if name == "full_exchange":
            exchange = {**_EXACTLY_ONE_EXCHANGE, "every": self.run.training.epochs}
            return self.changed("all samples asked", {"exchange": exchange}).method("smule")
        if not self._is_possible(name):
            return None
        compute: dict[str, Callable[[], dict[str, Any]]] = {
            "alone": self._alone,
            "smule": self.smule,
            "fedavg": self._averaged,
            "pooled": self._pooled,
            **{control: partial(self._control, control) for control in get_args(ControlName)},
        }
        return self.result(name, compute[name])

    def _is_possible(self, name: MethodName) -> bool:
        """Weights of two architectures cannot be averaged, and on pooled data nobody answers."""
        attack = self.run.attack.name
        if name == "fedavg":
            return self.run.party_a.model == self.run.party_b.model and attack != "trigger_answers"
        return name != "pooled" or attack not in ("answers", "trigger_answers")

    def alone(self, rank: int) -> Finished:
        """What the party of this rank comes to alone: trained once, and kept.

        Raises:
            OutputError: the file that holds it is damaged.
        """
        learner = self.here.learners[rank]
        path = self._bench.store.folder / "networks" / f"alone-{self._digest(rank)}.pt"
        if path.exists():
            try:
                return Finished.of(torch.load(path, weights_only=True), learner)
            except (OSError, RuntimeError, LookupError, pickle.UnpicklingError):
                raise OutputError(f"{path} is damaged; remove it to train this network again") from None
        finished = self.here.alone(rank)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: torch.save(finished.state_dict(), file))
        return finished

    @cached_property
    def both_alone(self) -> tuple[Finished, Finished]:
        return self.alone(0), self.alone(1)

    def _digest(self, rank: int) -> str:
        """Of everything that decides the network."""
        run, held = self.run, self.here.learners[rank].holding
        without = set() if run.training.dp else _OF_THE_PEER
        decides = {
            "training": run.training.model_dump(mode="json", exclude=without),
            "model": run.party_section(rank).model.model_dump(mode="json"),
            "seed": [run.seed, rank, run.randomness, run.device],
            "samples": digest_of(held.train, held.validation, held.test),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]

    def smule(self, option: Option = lambda logits_NC: logits_NC) -> dict[str, Any]:
        """After mutual learning, with the accuracy of both networks together at prediction time."""
        curves = _Curve(), _Curve()
        alone = self.both_alone if self.run.training.standalone else (None, None)
        parties = self.here.mutual(alone, option=option, observers=curves)
        models = [party.network for party in parties]
        plan = self.here.plan
        online = None if plan.num_queries is None else self.here.prices.cost(0, plan.num_queries).bytes_total
        return self._judged(models, [party.accuracy for party in parties]) | {
            "joint": [self._joint(rank, models[rank], models[1 - rank], option) for rank in (0, 1)],
            "kept": [party.best.name for party in parties],
            "alarms": [party.watchman.alarms for party in parties],
            "queries": plan.num_queries,
            "online_bytes": online,
            "exchange_bytes": plan.exchange_bytes,
            "set_up_bytes": plan.set_up_bytes,
            "exchange_epochs": list(exchange_epochs(self.run.exchange, self.run.training.epochs)),
            "curves": [curve.points for curve in curves],
            **head_figures(self.here, models, self.logits),
        }

    def asks(self, rank: int) -> bool:
        """Whether this party asks at all; one that only answers learns nothing from its peer."""
        queries = self.here.plan.num_queries
        return queries is None or queries[rank] > 0

    def logits(self, model: nn.Module, inputs_NX: torch.Tensor) -> torch.Tensor:
        return predict_logits(model, inputs_NX, _BATCH, self.here.learners[0].device)

    def _alone(self) -> dict[str, Any]:
        both = self.both_alone
        return self._judged([finished.model for finished in both], [finished.accuracy for finished in both])

    def _control(self, name: ControlName) -> dict[str, Any]:
        """Of the parties that ask, which alone have a gain to compare."""
        finished = [
            self.here.control(name, rank, self.both_alone[rank]) if self.asks(rank) else None for rank in (0, 1)
        ]
        accuracies = [None if found is None else found.accuracy for found in finished]
        result: dict[str, Any] = {"accuracies": accuracies, "success": None}
        if name == "own_head":
            of_both = [
                {} if found is None else own_head_figures(self.here, rank, found.model, self.logits)
                for rank, found in enumerate(finished)
            ]
            result |= {key: [of.get(key) for of in of_both] for key in ("own_head", "with_own_head")}
        return result

    def _pooled(self) -> dict[str, Any]:
        found = self.here.pooled()
        return self._judged([found.model] * 2, [found.accuracy] * 2)

    def _averaged(self) -> dict[str, Any]:
        attack = self.here.simulated.attack

        def sends(model: nn.Module, rank: int, epoch: int) -> nn.Module:
            return model if rank == self.honest else attack.answering(model, epoch)

        averaged = average_weights(self.here.learners, sends)
        found = averaged.parties
        return self._judged([party.model for party in found], [party.accuracy for party in found])

    def _judged(self, models: list[nn.Module], accuracies: list[float | None]) -> dict[str, Any]:
        attack, test = self.here.simulated.attack, self.here.simulated.data.test
        return {
            "accuracies": accuracies,
            "success": attack.success(lambda inputs_NX: self.logits(models[self.honest], inputs_NX), test),
        }

    def together(
        self, rank: int, own: nn.Module, peer: nn.Module, option: Option = lambda logits_NC: logits_NC
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both networks as smule-predict combines them, weighted by the validation part of the party.

        Returns:
            predictions (N, C) of the party's validation part, and of its test part.
        """
        learner: Learner = self.here.learners[rank]
        held_out, test = learner.holding.validation, learner.holding.test
        balanced = self.run.decided_training.is_balanced
        rule = learner.task.rule(learner.holding.train, learner.num_classes, balanced=balanced)
        known, asked = (
            (self.logits(own, part.inputs), option(self.logits(peer, part.inputs))) for part in (held_out, test)
        )
        combined = rule(*known, held_out.targets)
        return combined.predictions(*known), combined.predictions(*asked)

    def _joint(self, rank: int, own: nn.Module, peer: nn.Module, option: Option) -> float:
        """Accuracy of both networks together."""
        return accuracy(self.together(rank, own, peer, option)[1], self.here.learners[rank].holding.test.targets)


class _Curve(Silent):
    """Test accuracy over the epochs of mutual learning."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []

    def epoch(self, phase: Phase, result: EpochResult, tested: Outcome) -> None:
        if phase == "smule":
            seconds = result.seconds + (self.points[-1]["seconds"] if self.points else 0.0)
            self.points.append({"epoch": result.epoch, "accuracy": tested.accuracy, "seconds": seconds})
