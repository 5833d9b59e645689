"""What a party learns from beside its labels: the peer's answers, as far as it trusts them, and its own network's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.metric_names import TaskName
from smule_crypten.tasks.by_name import as_task
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import Task
from smule_crypten.training.ensemble import EnsembleSource, OwnAnswers
from smule_crypten.training.evaluate import CPU
from smule_crypten.training.lookahead import distillation_harms
from smule_crypten.training.pool import PoolBatch, SoftLabelledPool
from smule_crypten.training.three_teachers import ThreeTeachers
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import PredictionSource, SoftLabels

_LOOK_AHEAD_SAMPLES = 512
_UNASKED_SHARE = 0.3
"""Of a pool batch, what the peer was not asked about, so that only the party's own network speaks of it."""
_UNASKED_SHARE_OF_HEAD = 0.5
"""Likewise with a joint head, which speaks of everything."""


class Teacher:
    """Soft labels for a `Trainer`, judged again before each epoch.

    Args:
        source: what the peer has answered; any object with the method of `PredictionSource`.
        train: labelled samples, normalised.
        pool: unlabelled samples, normalised, to be learned from by their soft labels alone; None for none.
        public: samples that both parties have, likewise; of those that were asked about the peer speaks alone.
        validation: held-out labelled samples, normalised, by which answers that harm are found out; None for none.
        own: what the party's own finished network says of all these; None without one.
        head: what the party's own joint head says of them (three_teachers.py); None without one.
        config: how much is trusted (`trust`), and whether the party's own network teaches, too (`teacher`).
        seed: decides the order of the pool, and which samples the look-ahead draws.
        device: where the network trains.
        task: what is learned: classification, multilabel or regression.
        unasked_share: of a pool batch, samples of which only the party's own network speaks; of no account with a head.
        is_alone: there is no peer (controls.py).

    Example:
        >>> import torch, smule_crypten as smule
        >>> class Nothing:
        ...     def lookup(self, sample_ids):
        ...         return None
        >>> samples = smule.Samples(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]), torch.arange(4))
        >>> teacher = smule.Teacher(Nothing(), train=samples, config=smule.TrainingConfig())
        >>> teacher.lookup(samples.sample_ids) is None
        True
    """

    def __init__(
        self,
        source: PredictionSource,
        *,
        train: Samples,
        config: TrainingConfig,
        pool: Samples | None = None,
        public: Samples | None = None,
        validation: Samples | None = None,
        own: OwnAnswers | None = None,
        head: OwnAnswers | None = None,
        seed: int = 0,
        device: torch.device = CPU,
        task: Task | TaskName = CLASSIFICATION,
        unasked_share: float = _UNASKED_SHARE,
        is_alone: bool = False,
    ) -> None:
        task = as_task(task)
        self._train, self._task = train, task
        self._device = device
        # Apart from the generator of the batches, which are the same with and without a peer.
        self._generator = torch.Generator().manual_seed(seed)
        self._held_out = train.select(torch.arange(0)) if validation is None else validation
        known = train.with_others(self._held_out)
        public_ids = None if public is None else public.sample_ids.cpu()
        if public is not None:
            pool = public if pool is None else pool.with_others(public)
        everything = known if pool is None else known.with_others(pool)
        self._trusted = TrustedSource(
            source, config.trust, sample_ids=everything.sample_ids.cpu(), targets=everything.targets.cpu(), task=task
        )
        self._ensemble: EnsembleSource | ThreeTeachers | None = None
        held_out = self._held_out.sample_ids.cpu(), self._held_out.targets.cpu()
        if head is not None:
            self._ensemble = ThreeTeachers(
                self._trusted, own, head, *held_out, task=task, balanced=config.is_balanced, is_alone=is_alone
            )
            unasked_share = _UNASKED_SHARE_OF_HEAD
        elif config.teacher == "ensemble" and own is not None:
            self._ensemble = EnsembleSource(
                self._trusted, own, *held_out, balanced=config.is_balanced, task=task, public_ids=public_ids
            )
        self._unasked_share = unasked_share
        self._pool = None if pool is None or len(pool) == 0 else SoftLabelledPool(pool, self, device, self._generator)

    @property
    def peer_accuracy(self) -> float | None:
        """Of the peer's answers on samples of known label; None without such answers."""
        return self._trusted.accuracy

    @property
    def peer_weight(self) -> float | None:
        """The peer's mean part in the soft labels of what it was asked about; None without answers."""
        weight = self._trusted.mean_weight
        return weight if weight is None or self._ensemble is None else weight * self._ensemble.peer_share

    def refresh(self, model: nn.Module, temperature: float) -> None:
        """Judge the answers known so far; look a step ahead with model where the trust rule adapts to that."""
        self._trusted.refresh()
        if self._ensemble is not None:
            self._ensemble.refresh()
        self._look_up()
        if not self._trusted.is_adaptive or len(self._held_out) == 0 or not self._trusted.has_evidence:
            return
        soft = self._some_soft_labels()
        if soft is not None:
            self._trusted.look_ahead(not self._harms(model, soft, temperature))
            # Only weights have changed: the accuracy and the fit of the ensemble are made from logits alone.
            self._look_up()

    def _harms(self, model: nn.Module, soft: PoolBatch, temperature: float) -> bool:
        return distillation_harms(model, self._some_held_out(), soft, temperature, self._task)

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        """As PredictionSource."""
        return (self._ensemble or self._trusted).lookup(sample_ids)

    def pool_batch(self, count: int) -> PoolBatch | None:
        """At most `count` pool samples with a soft label; None where there is none.

        A part of them, smaller where the party's own network knows less than the peer, the peer was not asked about.
        """
        return None if self._pool is None else self._pool.draw(count, self._share_of_unasked)

    @property
    def _share_of_unasked(self) -> float:
        if isinstance(self._ensemble, ThreeTeachers):
            return self._unasked_share
        own_share = 0.0 if self._ensemble is None else 1 - self._ensemble.peer_share
        return self._unasked_share * min(1.0, 2 * own_share)

    def told(self, sample_ids: torch.Tensor) -> dict[str, Any]:
        """After refresh, all that the epoch learns from: what these samples' soft labels are, how the pool is drawn.

        A teacher that hears it (compute/told.py) says the same as this one.
        """
        state = {"unasked": self._share_of_unasked, "generator": self._generator.get_state()}
        return {**state, "soft": self.lookup(sample_ids)}

    @property
    def losses(self) -> list[float] | None:
        """What this party tells its peer of its three teachers; None without a head."""
        return self._ensemble.losses() if isinstance(self._ensemble, ThreeTeachers) else None

    @property
    def weights(self) -> tuple[float, float, float] | None:
        """Of the party's own network, the peer and the head; None without a head."""
        return self._ensemble.weights if isinstance(self._ensemble, ThreeTeachers) else None

    def hear(self, own: Sequence[float], peer: Sequence[float]) -> None:
        """What both parties told of their three teachers, with a head."""
        if isinstance(self._ensemble, ThreeTeachers):
            self._ensemble.hear(own, peer)

    def state_dict(self) -> dict[str, Any]:
        state = {"trust": self._trusted.state_dict(), "generator": self._generator.get_state()}
        if isinstance(self._ensemble, ThreeTeachers):
            state["three"] = self._ensemble.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if isinstance(self._ensemble, ThreeTeachers):
            self._ensemble.load_state_dict(state["three"])
        self._trusted.load_state_dict(state["trust"])
        self._generator.set_state(state["generator"])

    def _look_up(self) -> None:
        if self._pool is not None:
            self._pool.refresh()

    def _some_held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randperm(len(self._held_out), generator=self._generator)[:_LOOK_AHEAD_SAMPLES]
        return self._held_out.read(chosen).to(self._device), self._held_out.targets[chosen].to(self._device)

    def _some_soft_labels(self) -> PoolBatch | None:
        """Of the pool, if there are any, else of labelled samples."""
        batch = self.pool_batch(_LOOK_AHEAD_SAMPLES)
        if batch is not None:
            return batch
        soft = self.lookup(self._train.sample_ids.cpu())
        if soft is None:
            return None
        chosen = torch.randperm(len(soft.positions), generator=self._generator)[:_LOOK_AHEAD_SAMPLES]
        images = self._train.read(soft.positions[chosen]).to(self._device)
        return images, soft.logits_NC[chosen].to(self._device), soft.weights()[chosen].to(self._device)
