"""How far the online phase of schemes `lean` and `two_party` is from its floor: 200 + 200 queries on loopback.

The floor is what no implementation of the same protocol goes below: its bytes through TLS, and its products of integers.
Both are measured in the same run, in turn with the exchanges:

- online seconds: an exchange of both directions, less what needs no input (`preparation_seconds`); the keys, the silent
  transfers and the dealer's corrections have come before, as while the parties train. Of the slower party.
- TLS: so many bytes each way at once, through plain `ssl` sockets (plain_tls.py).
- products: the calls of an exchange that multiply integers at the model owner, recorded in the warm-up and made again
  with the same arguments, in both processes at once as in an exchange.

Each is the least of all repeats: on a machine with other work that is what comes closest to the thing itself. Ratios
compare what was measured in the same minutes; seconds of different runs are not to be compared.

Exits with 1 where an online phase takes more than LIMIT times its floor.

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
from typing import Any

import torch.distributed as dist
from figures_file import write_figures
from party_processes import barrier_group, in_both_parties, session_of
from plain_tls import plain_pair
from reference_task import Task, prepared_scheme, run_exchange
from rich.console import Console
from rich.table import Table

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import LaunchConfig, SchemeConfig
from smule_crypten.inference.lean import model_owner as lean_model_owner
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.lattice.handover import ModelOwnerBatch
from smule_crypten.party.events import Emit
from smule_crypten.transport.credentials import Identity, create_identity

QUERIES = 200
LIMIT = 2.0
PRODUCTS: dict[str, tuple[Any, str]] = {
    "lean": (lean_model_owner, "multiply"),
    "two_party": (ModelOwnerBatch, "_product"),
}
"""Where the model owner of a scheme multiplies integers."""

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True)
class Turn:
    """Of one repeat, seen by one party; cpu_seconds are of its process during exchange and preparation."""

    exchange: float
    preparation: float
    cpu_seconds: float
    tls: float
    products: float


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


def seconds_of(calls: Calls, function: Callable[..., Any]) -> float:
    """To make them all once more, while the peer does."""
    dist.barrier()
    started = time.perf_counter()
    for arguments, named in calls:
        function(*arguments, **named)
    return time.perf_counter() - started


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
            run = run_exchange(scheme, answerer, task, index, ahead)
            cost = session.meter.total("online") - before
            tls = pair.seconds(cost.bytes_sent, cost.bytes_received)
            products = seconds_of(calls, getattr(*owner_and_name))
            turns.append(Turn(run.seconds, run.preparation_seconds, run.exchange_cpu_seconds, tls, products))
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
    online = min(max(turn.exchange - turn.preparation for turn in pair) for pair in pairs)
    tls = min(max(turn.tls for turn in pair) for pair in pairs)
    products = min(max(turn.products for turn in pair) for pair in pairs)
    num_bytes = parties[0].bytes_sent + parties[0].bytes_received
    return {
        "bytes": num_bytes,
        "rounds": parties[0].rounds,
        "online_seconds": online,
        "exchange_seconds": min(max(turn.exchange for turn in pair) for pair in pairs),
        "preparation_seconds": min(max(turn.preparation for turn in pair) for pair in pairs),
        "cpu_seconds": min(max(turn.cpu_seconds for turn in pair) for pair in pairs),
        "tls_seconds": tls,
        "tls_megabytes_a_second": num_bytes / tls / 1e6,
        "products_seconds": products,
        "floor_seconds": tls + products,
        "ratio": online / (tls + products),
        "turns": [[asdict(turn) for turn in party.turns] for party in parties],
    }


def show(queries: int, by_scheme: dict[str, dict[str, Any]]) -> None:
    table = Table("", *by_scheme, title=f"{queries} + {queries} queries of the reference network on loopback")
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "MB, both ways": lambda row: f"{row['bytes'] / 1e6:.1f}",
        "rounds": lambda row: str(row["rounds"]),
        "exchange s": lambda row: f"{row['exchange_seconds']:.3f}",
        "of it preparation s": lambda row: f"{row['preparation_seconds']:.3f}",
        "CPU s of a party": lambda row: f"{row['cpu_seconds']:.3f}",
        "online s": lambda row: f"{row['online_seconds']:.3f}",
        "TLS MB/s, both ways together": lambda row: f"{row['tls_megabytes_a_second']:.0f}",
        "TLS s": lambda row: f"{row['tls_seconds']:.3f}",
        "products s": lambda row: f"{row['products_seconds']:.3f}",
        "floor s": lambda row: f"{row['floor_seconds']:.3f}",
        "online / floor": lambda row: f"{row['ratio']:.2f}",
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(figures) for figures in by_scheme.values()))
    Console(width=100).print(table)


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
    found = {name: row["ratio"] for name, row in by_scheme.items() if not row["ratio"] <= LIMIT}
    for name, ratio in found.items():
        print(f"FAILED: the online phase of {name} takes {ratio:.2f} times its floor, more than {LIMIT:g}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
