"""How far the online phase of schemes `lean` and `two_party` is from its floor: 200 + 200 queries on loopback.

The floor is what no implementation of the same protocol goes below: its bytes through TLS and its products of integers.
Both are measured in the same run, in turn with the exchanges:

- online seconds: an exchange of both directions, less what needs no input (`preparation_seconds`); the keys, the silent
  transfers and the dealer's corrections have come before, as while the parties train. Of the slower party.
- TLS: so many bytes each way at once, through plain `ssl` sockets (plain_tls.py).
- products: the calls of an exchange that multiply integers at the model owner, recorded in the warm-up and made again
  with the same arguments, in both processes at once as in an exchange.

Each is the least of all repeats: on a machine with other work that is what comes closest to the thing itself. All of
it is measured twice, by the clock and by the processor time of a party. By the clock the two parties wait for each
other in every round, and for other work of the machine; processor time says what there is to be done. Ratios compare
what was measured in the same minutes; seconds of different runs are not to be compared.

Exits with 1 where an online phase takes more than LIMIT times its floor, by the clock.

    OMP_NUM_THREADS=1 python benchmarks/online_floor.py --repeats 9 --output floor.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch.distributed as dist
from figures_file import write_figures
from party_processes import barrier_group, in_both_parties, session_of
from plain_tls import plain_pair
from reference_task import Task, prepared_scheme, run_exchange
from rich.console import Console
from rich.table import Table

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import LaunchConfig, SchemeConfig
from smule_crypten.inference.lean import data_owner as lean_data_owner
from smule_crypten.inference.lean import model_owner as lean_model_owner
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.lattice.handover import ModelOwnerBatch
from smule_crypten.party.events import Emit
from smule_crypten.transport.credentials import Identity, create_identity
from smule_crypten.two_party import data_owner as two_party_data_owner
from smule_crypten.two_party import model_owner as two_party_model_owner

QUERIES = 200
LIMIT = 2.0
PRODUCTS: dict[str, tuple[Any, str]] = {
    "lean": (lean_model_owner, "multiply"),
    "two_party": (ModelOwnerBatch, "_product"),
}
"""Where the model owner of a scheme multiplies integers."""
PREPARING: tuple[Any, ...] = (lean_data_owner, two_party_data_owner, two_party_model_owner)
"""Modules that measure what needs no input."""

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


class Seconds(NamedTuple):
    """By the clock, and of the processor by this process."""

    clock: float
    processor: float

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.clock - other.clock, self.processor - other.processor)


@dataclass(frozen=True)
class Turn:
    """One repeat, seen by one party."""

    exchange: Seconds
    preparation: Seconds
    tls: Seconds
    products: Seconds

    @property
    def online(self) -> Seconds:
        return self.exchange - self.preparation


@dataclass(frozen=True)
class Measured:
    bytes_sent: int
    bytes_received: int
    rounds: int
    turns: list[Turn]


@contextmanager
def recorded(owner: Any, name: str) -> Iterator[Calls]:
    """All calls of owner.name."""
    plain: Callable[..., Any] = getattr(owner, name)
    calls: Calls = []

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append((arguments, named))
        return plain(*arguments, **named)

    setattr(owner, name, call)
    try:
        yield calls
    finally:
        setattr(owner, name, plain)


@contextmanager
def processor_time_of_preparation() -> Iterator[list[float]]:
    """Of the roles, which take the time in pairs: a list of one number, as it is known in the end."""
    stamps: list[float] = []
    found: list[float] = []

    def perf_counter() -> float:
        stamps.append(time.process_time())
        return time.perf_counter()

    plain = [module.time for module in PREPARING]
    for module in PREPARING:
        module.time = SimpleNamespace(perf_counter=perf_counter)
    try:
        yield found
    finally:
        for module, its_time in zip(PREPARING, plain, strict=True):
            module.time = its_time
        found.append(sum(stamps[1::2]) - sum(stamps[::2]))


def seconds_of(action: Callable[[], object]) -> Seconds:
    """While the peer does the same."""
    dist.barrier()
    started = now()
    action()
    return now() - started


def now() -> Seconds:
    return Seconds(time.perf_counter(), time.process_time())


def make_again(calls: Calls, function: Callable[..., Any]) -> None:
    for arguments, named in calls:
        function(*arguments, **named)


def until_dealt(scheme: SecureInferenceScheme, task: Task) -> None:
    """Until all corrections of the exchange have come."""
    rank = scheme.session.rank
    cost = scheme.cost_of(scheme.architectures[rank], task.counts[1 - rank], scheme.config, dealt=True)
    while sum(link.early_bytes for link in scheme.session.links) < cost.model_owner.dealer_bytes:
        scheme.session.check()
        time.sleep(0.01)


def run_party(
    emit: Emit, launch: LaunchConfig, config: SchemeConfig, queries: int, repeats: int, identity: Identity
) -> Measured:
    """The first exchange warms up, and its products are recorded."""
    task, owner_and_name = Task.of_size(queries, queries), PRODUCTS[config.name]
    with_dealer = scheme_traits(config.name).needs_dealer
    with (
        barrier_group(),
        session_of(0, launch, config.precision_bits, with_dealer=with_dealer) as session,
        plain_pair(identity) as pair,
    ):
        scheme, answerer = prepared_scheme(session, task, config)
        ahead = partial(until_dealt, scheme, task)
        with recorded(*owner_and_name) as calls:
            run_exchange(scheme, answerer, task, 1, ahead)
        turns = []
        for index in range(2, repeats + 2):
            before = session.meter.total("online")
            with processor_time_of_preparation() as processor:
                run = run_exchange(scheme, answerer, task, index, ahead)
            cost = session.meter.total("online") - before
            turn = Turn(
                exchange=Seconds(run.seconds, run.exchange_cpu_seconds),
                preparation=Seconds(run.preparation_seconds, *processor),
                tls=seconds_of(partial(pair.carry, cost.bytes_sent, cost.bytes_received)),
                products=seconds_of(partial(make_again, calls, getattr(*owner_and_name))),
            )
            turns.append(turn)
        dist.barrier()
        return Measured(cost.bytes_sent, cost.bytes_received, cost.rounds, turns)


def measure(config: SchemeConfig, queries: int, repeats: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = (config, queries, repeats, create_identity("plain", Path(folder)))
        needs_dealer = scheme_traits(config.name).needs_dealer
        parties = in_both_parties(run_party, *arguments, threads=threads, dealt_sessions=int(needs_dealer))[:2]
    return summarize(parties)


def summarize(parties: list[Measured]) -> dict[str, Any]:
    """Of each turn the slower party; of all turns the least."""
    pairs = list(zip(*(party.turns for party in parties), strict=True))

    def least(what: str, by: str) -> float:
        seconds: list[float] = [max(getattr(getattr(turn, what), by) for turn in pair) for pair in pairs]
        return min(seconds)

    figures: dict[str, Any] = {
        "bytes": parties[0].bytes_sent + parties[0].bytes_received,
        "rounds": parties[0].rounds,
        "turns": [[asdict(turn) for turn in party.turns] for party in parties],
    }
    for by in Seconds._fields:
        found = {what: least(what, by) for what in ("exchange", "preparation", "online", "tls", "products")}
        floor = found["tls"] + found["products"]
        figures[by] = {**found, "floor": floor, "ratio": found["online"] / floor}
    return figures


def show(queries: int, by_scheme: dict[str, dict[str, Any]]) -> None:
    columns = [(name, by) for name in by_scheme for by in Seconds._fields]
    title = f"{queries} + {queries} queries of the reference network on loopback; seconds"
    table = Table("", *(f"{name}, by {by}" for name, by in columns), title=title)
    for what in ("exchange", "preparation", "online", "tls", "products", "floor"):
        table.add_row(what, *(f"{by_scheme[name][by][what]:.3f}" for name, by in columns))
    table.add_row("online / floor", *(f"{by_scheme[name][by]['ratio']:.2f}" for name, by in columns))
    console = Console(width=100)
    console.print(table)
    for name, row in by_scheme.items():
        megabytes = row["bytes"] / 1e6
        rate = megabytes / row["clock"]["tls"]
        console.print(
            f"{name}: {megabytes:.1f} MB both ways in {row['rounds']} rounds; TLS carries {rate:.0f} MB/s, "
            "both ways together"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", default="lean,two_party", help="with commas (default lean,two_party)")
    parser.add_argument("--queries", type=int, default=QUERIES, help=f"of each party (default {QUERIES})")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads a process (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="exchanges after a warm-up (default 5)")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    if min(arguments.threads, arguments.queries, arguments.repeats) < 1:
        parser.error("--threads, --queries and --repeats must be at least 1")
    by_scheme = {
        name: measure(SchemeConfig(name=name), arguments.queries, arguments.repeats, arguments.threads)
        for name in arguments.scheme.split(",")
    }
    show(arguments.queries, by_scheme)
    if arguments.output is not None:
        figures = {"queries": arguments.queries, "schemes": by_scheme}
        write_figures(arguments.output, "online_floor", arguments.threads, figures)
    ratios = {name: row["clock"]["ratio"] for name, row in by_scheme.items()}
    found = {name: ratio for name, ratio in ratios.items() if not ratio <= LIMIT}
    for name, ratio in found.items():
        print(
            f"FAILED: the online phase of {name} takes {ratio:.2f} times its floor, more than {LIMIT:g}",
            file=sys.stderr,
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
