"""A party watches its peer's answers, and drops those that speak against themselves.

With training.alarm=quarantine an exchange under suspicion is taken out of the cache before anything is learned from it.
Where a network has learned from it already, it goes back to the state before the first exchange and catches up alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from smule_crypten.config.sections import AlarmName
from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.peer import Answers
from smule_crypten.tasks.alarm import Alarm, Watch
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.trainer import Trainer

log = logging.getLogger(__name__)


class Watchman:
    """Applies training.alarm to each exchange. alarms holds all that fired, as plain data.

    Args:
        train: the samples whose labels this party knows.
        watch: tests each exchange; None where no test can.
    """

    def __init__(self, mode: AlarmName, train: Samples, watch: Watch | None) -> None:
        self._mode = mode
        order = train.sample_ids.argsort()
        self._sample_ids, self._targets = train.sample_ids[order], train.targets[order]
        self._watch = watch
        self._learned: set[int] = set()
        self._before: dict[str, Any] | None = None
        self.alarms: list[dict[str, Any]] = []

    def watch(
        self, answers: Answers, epoch: int, cache: SoftLabelCache, trainer: Trainer, best: BestNetwork
    ) -> tuple[list[str], bool]:
        """Test the answers of an exchange, which are in the cache, and drop suspects as `quarantine` does.

        Returns:
            what there is to say, for this side alone: the other one would learn of this party's samples; and whether
            answers were dropped.
        """
        told, texts = answers.prediction, []
        number = told.query_id
        alarms = self.check(number, told.sample_ids, told.logits_NC)
        if answers.num_dropped:
            texts.append(
                f"exchange {number}: {answers.num_dropped} of {answers.num_asked} answers are dropped: inputs or "
                "logits are larger here than what the other party's network was fitted for"
            )
        dropped = self.quarantine(number, epoch, alarms, cache.forget, trainer, best)
        outcome = "its answers are dropped" if dropped else "nothing was dropped (training.alarm=report)"
        texts += [f"exchange {number}, {alarm.test}: {alarm.evidence}; {outcome}" for alarm in alarms]
        return texts, dropped

    def check(self, exchange: int, sample_ids_N: torch.Tensor, logits_NC: torch.Tensor) -> list[Alarm]:
        """Test the answers of an exchange."""
        if self._mode == "off" or self._watch is None:
            return []
        known_N = torch.isin(sample_ids_N, self._sample_ids)
        targets = self._targets[torch.searchsorted(self._sample_ids, sample_ids_N[known_N])]
        alarms = self._watch.check(exchange, logits_NC[known_N], targets)
        self.alarms += [alarm.as_plain() for alarm in alarms]
        for alarm in alarms:
            log.warning("alarm exchange=%d test=%s p_value=%.1e", alarm.exchange, alarm.test, alarm.p_value)
        return alarms

    def quarantine(
        self,
        exchange: int,
        epoch: int,
        alarms: list[Alarm],
        forget: Callable[[int], None],
        trainer: Trainer,
        best: BestNetwork,
    ) -> bool:
        """Have the suspects forgotten, with the answers and by the network; returns whether there were any.

        Args:
            forget: drops the answers of an exchange.
            exchange: what alarms are about; nothing was learned from it yet.
            epoch: the one that it begins; trainer has done all before, and has done them again afterwards.
        """
        if self._mode != "quarantine":
            return False
        if self._before is None:
            self._before = {"epoch": epoch, "trainer": trainer.state_dict(), "best": best.state_dict()}
        suspects = {number for alarm in alarms for number in alarm.suspects}
        for number in suspects:
            forget(number)
        if suspects & self._learned:
            self._roll_back(epoch, trainer, best)
        if exchange not in suspects:
            self._learned.add(exchange)
        return bool(suspects)

    def state_dict(self) -> dict[str, Any]:
        return {
            "watch": {} if self._watch is None else self._watch.state_dict(),
            "learned": sorted(self._learned),
            "before": self._before,
            "alarms": list(self.alarms),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._watch is not None:
            self._watch.load_state_dict(state["watch"])
        self._learned, self._before = set(state["learned"]), state["before"]
        self.alarms = list(state["alarms"])

    def _roll_back(self, epoch: int, trainer: Trainer, best: BestNetwork) -> None:
        """A suspect that was learned from is one of all so far, so none of them is left in the cache."""
        assert self._before is not None
        trainer.load_state_dict(self._before["trainer"])
        best.load_state_dict(self._before["best"])
        for _ in range(epoch - self._before["epoch"]):
            trainer.run_epoch()
        self._learned.clear()
        log.warning("rolled back to_epoch=%d and caught up to_epoch=%d", self._before["epoch"], epoch)
