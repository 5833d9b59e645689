"""What correlated transfers cost one core: CPU seconds of set-up, nanoseconds and bytes a transfer, by parameter set.

Both ends of an instance run in this process, one after the other, and hand their messages over in memory; each is
measured by itself. Every relation is checked. Pads are hashed for a random transfer of one bit.

    OMP_NUM_THREADS=1 python benchmarks/silent_transfers.py --sets b10 b12 b13 --output silent_transfers.json
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from figures_file import write_figures
from rich.console import Console
from rich.table import Table

from smule_crypten.oblivious.blocks import Bytes, marks, scaled
from smule_crypten.oblivious.one_of_two import receive_random, send_random
from smule_crypten.oblivious.parameters import B10, SETS, Plan
from smule_crypten.oblivious.script import Script, Send, Want
from smule_crypten.oblivious.silent import Silent, SilentReceiver, SilentSender, open_receiver, open_sender

BATCH = 1 << 18


class End:
    """A script that is played, with its CPU seconds, what it has sent, and its longest stretch between two events."""

    def __init__(self, script: Script[Any]) -> None:
        self._script = script
        self.seconds = self.longest = 0.0
        self.bytes_sent = 0
        self.result: Any = None
        self.is_over = False
        self.inbox: list[Bytes] = []
        self._event = self._advance(None)

    def run(self, other: End) -> None:
        """Until it waits for the other one, or is over."""
        while not self.is_over and not (isinstance(self._event, Want) and not self.inbox):
            answer = self.inbox.pop(0) if isinstance(self._event, Want) else None
            if isinstance(self._event, Send):
                self.bytes_sent += len(self._event.data)
                other.inbox.append(self._event.data)
            self._event = self._advance(answer)

    def _advance(self, answer: Bytes | None) -> Any:
        begin = time.process_time()
        try:
            return next(self._script) if answer is None else self._script.send(answer)
        except StopIteration as end:
            self.result, self.is_over = end.value, True
        finally:
            spent = time.process_time() - begin
            self.seconds += spent
            self.longest = max(self.longest, spent)


def play(first: Script[Any], second: Script[Any]) -> tuple[End, End]:
    ends = End(first), End(second)
    while not all(end.is_over for end in ends):
        for end, other in (ends, ends[::-1]):
            end.run(other)
    return ends


def making_nanoseconds(end: Silent) -> tuple[float, float]:
    """A transfer, from a full stock's worth of steps; and the milliseconds of the median step."""
    seconds, before = [], end.ready
    begin = time.process_time()
    while end.step():
        seconds.append(time.process_time() - begin)
        begin = time.process_time()
    return sum(seconds) / (end.ready - before) * 1e9, statistics.median(seconds) * 1e3


def measured(plan: Plan, repeats: int) -> dict[str, float]:
    seed = os.urandom(32)
    ends = play(
        open_sender(plan, seed, BATCH, os.urandom, sender_rank=0),
        open_receiver(plan, seed, BATCH, os.urandom, sender_rank=0),
    )
    sender, receiver = (end.result for end in ends)
    assert isinstance(sender, SilentSender)
    assert isinstance(receiver, SilentReceiver)
    both: dict[str, dict[str, list[float]]] = {
        who: {name: [] for name in ("make", "step_ms", "pads")} for who in ("sender", "receiver")
    }
    for _ in range(repeats):
        while sender.left < 2 * BATCH:
            play(sender.renew(), receiver.renew())
        for who, end in (("sender", sender), ("receiver", receiver)):
            nanoseconds, step = making_nanoseconds(end)
            both[who]["make"].append(nanoseconds)
            both[who]["step_ms"].append(step)
        ours, theirs = sender.take(BATCH // 2), receiver.take(BATCH // 2)
        q, t = ours.spend(), theirs.spend()
        assert (t == q ^ scaled(marks(t), ours.difference)).all()
        ours, theirs = sender.take(BATCH // 2), receiver.take(BATCH // 2)
        choices = theirs.choices
        begin = time.process_time()
        pairs = send_random(ours, 1)
        middle = time.process_time()
        got = receive_random(theirs, 1).pads
        both["receiver"]["pads"].append((time.process_time() - middle) / len(got) * 1e9)
        both["sender"]["pads"].append((middle - begin) / len(got) * 1e9)
        assert (got == np.where(choices == 1, pairs[1], pairs[0])).all()
    renewal = play(sender.renew(), receiver.renew())
    result = {"bits": plan.main.bits, "transfers": float(plan.transfers)}
    result["setup_bytes"] = float(sum(end.bytes_sent for end in ends) - plan.main.message_bytes)
    result["iteration_bytes"] = float(sum(end.bytes_sent for end in renewal))
    for who, opening, again in zip(both, ends, renewal, strict=True):
        result[f"{who}_setup_seconds"] = opening.seconds
        result[f"{who}_renewal_seconds"] = again.seconds
        result[f"{who}_longest_ms"] = 1e3 * again.longest
        for name, values in both[who].items():
            result[f"{who}_{name}"] = statistics.median(values)
        result[f"{who}_make_quartiles"] = float(np.subtract(*np.quantile(both[who]["make"], [0.75, 0.25])))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["b10", "b12", "b13"], choices=sorted(SETS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    figures = {name: measured(Plan(B10, SETS[name]), options.repeats) for name in options.sets}
    table = Table(title="correlated transfers, one core", show_lines=False)
    table.add_column("figure")
    for name in figures:
        table.add_column(name, justify="right")
    for row in next(iter(figures.values())):
        table.add_row(
            row, *(f"{column[row]:,.4g}" if column[row] < 1e4 else f"{column[row]:,.0f}" for column in figures.values())
        )
    Console(width=120).print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process, both ends: {peak:.0f} MB")
    if options.output:
        write_figures(options.output, "silent_transfers", 1, {"figures": figures, "peak_megabytes": peak})


if __name__ == "__main__":
    main()
