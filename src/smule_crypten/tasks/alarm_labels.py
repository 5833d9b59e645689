"""The alarm over answers about several labels: is one told apart the wrong way round?

For each label, the samples that have it and those that have not are two classes, and an answer from 1/2 on names the
first: the test is the contradiction of alarm.py, Fisher's exact test, one-sided, on this exchange and on all so far.
The other tests of alarm.py count right answers, which are not independent where one sample has many labels.
"""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.tasks.alarm import Alarm, Watch, share_of, worst_pair

_TESTS = 2


class LabelWatch(Watch):
    """Of several labels.

    Args:
        num_exchanges: of the whole run.
        false_alarm: probability of any alarm in a run with an honest peer; divided between exchanges, tests and labels.
    """

    def __init__(self, num_labels: int, num_exchanges: int, false_alarm: float = 0.01) -> None:
        self._num_labels = num_labels
        self._num_exchanges = max(1, num_exchanges)
        self._false_alarm = false_alarm
        self._seen: dict[int, torch.Tensor] = {}

    def check(self, exchange: int, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[Alarm]:
        """As Watch, of logits, and targets of 0 and 1."""
        cell_NC = 2 * targets.long() + (outputs_NC >= 0).long()
        self._seen[exchange] = torch.stack([(cell_NC == cell).sum(dim=0) for cell in range(4)], dim=1)
        tests = [(exchange,), tuple(self._seen)] if len(self._seen) > 1 else [(exchange,)]
        alarms = [self._contradiction(exchange, suspects) for suspects in tests]
        return [alarm for alarm in alarms if alarm is not None]

    def state_dict(self) -> dict[str, Any]:
        return {"seen": dict(self._seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seen = dict(state["seen"])

    def _contradiction(self, exchange: int, suspects: tuple[int, ...]) -> Alarm | None:
        """Of the label that speaks against the answers most."""
        counts_C4 = torch.stack([self._seen[number] for number in suspects]).sum(dim=0)
        share = share_of(exchange, self._num_exchanges)
        limit = self._false_alarm * share / (_TESTS * self._num_labels)
        found = [(label, worst_pair(counts_4.view(2, 2), limit)) for label, counts_4 in enumerate(counts_C4)]
        told = [(finding.p_value, label) for label, finding in found if finding is not None]
        if not told or min(told)[0] >= limit:
            return None
        p_value, label = min(told)
        none, wrong, missed, right = counts_C4[label].tolist()
        evidence = f"label {label}: of samples that have it, {missed} were answered without and {right} right; "
        evidence += f"of those that have not, {wrong} were answered with it and {none} right"
        return Alarm(
            exchange=exchange,
            test="contradiction",
            suspects=suspects,
            evidence=evidence,
            p_value=p_value,
            limit=limit,
        )
