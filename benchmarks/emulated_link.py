"""Secure inference with a dealer over an emulated link of 100 Mbit/s and 40 ms round trip.

Each party owns the reference network (small_convnet, channels 16, 32, 64) and 64 images of 3x32x32, and learns what the
other's network says about them: an exchange of both directions, which a scheme may run one after the other (crypten)
or at the same time (lean, two_party). Each party and the dealer are a process; the link between the parties passes
through delaying_proxy.py, which is measured first, with plain sockets, in the same run. With --dealer-link emulated, so
do the dealer's links, each with a line of its own.

The online time (one exchange, without the keys before it) is compared with what the link alone takes:

    full duplex:  max(bytes a to b, bytes b to a) / bandwidth + rounds x round trip
    half duplex:  (bytes a to b  +  bytes b to a) / bandwidth + rounds x round trip

Bytes and rounds are the meter's; the dealer's bytes are in neither. A message takes half a round trip to arrive, and
two that cross do so at the same time, so a round costs less than the formula grants it: `floor` is the full-duplex
figure with half a round trip a round. Local time is that of the same exchange on loopback; local time and floor added
are what smule-benchmark's link model predicts.

Exits with 1 where the online time is more than 1.2 times the full-duplex figure (but for lean and two_party, whose
computation is no small part of it), a probability is wrong, or the emulated link is not what it should be. Several
schemes are set side by side; with crypten among them, lean must take at most 0.1 times and two_party 0.15 times as long
over the link.

    python benchmarks/emulated_link.py --scheme crypten,lean,two_party --repeats 3 --output link.json
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delaying_proxy import LinkSpeed, delayed
from figures_file import write_figures
from link_calibration import Calibration, calibrate
from party_processes import barrier_group, in_both_parties, session_of
from reference_task import NUM_SAMPLES, Run, Task, prepared_scheme, run_exchange
from rich.console import Console
from rich.table import Table

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import LaunchConfig, SchemeConfig
from smule_crypten.party.events import Emit
from smule_crypten.suites.links import LinkModel
from smule_crypten.transport.endpoint import Address
from smule_crypten.transport.meeting import DEALER, ROLES, Meeting

LIMIT = 1.2
COMPUTING = ("lean", "two_party")
"""Schemes whose time over such a link is not the link's alone: LIMIT says nothing about them."""
SHARES_OF_CRYPTEN = {"lean": 0.1, "two_party": 0.15}
"""Of a scheme's time over crypten's, at most."""
TOLERANCE = 0.01
"""Of a class's probability: what soft labels are made of, whatever a scheme adds to all logits of a sample."""
RATE_TOLERANCE, RTT_TOLERANCE_MS = 0.05, 2.0


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """How fast the link to a role is; the plain loopback to roles that are not named."""

    speeds: dict[str, LinkSpeed]

    @contextmanager
    def applied(self, meeting: Meeting) -> Iterator[Meeting]:
        """The same meeting, but with the emulated links in the way of the processes that it connects to."""
        with ExitStack() as stack:
            addresses = {
                role: Address(*stack.enter_context(delayed(address.host, address.port, self.speeds[role])))
                if role in self.speeds and address.port
                else address
                for role, address in meeting.addresses.items()
            }
            yield dataclasses.replace(meeting, addresses=addresses)


def run_party(
    emit: Emit, launch: LaunchConfig, config: SchemeConfig, num_samples: int, repeats: int, wiring: Wiring
) -> list[Run]:
    """One session; the first exchange warms up and is left out."""
    task = Task.of_size(num_samples, num_samples)
    with (
        barrier_group(),
        session_of(
            0,
            launch,
            config.precision_bits,
            with_dealer=scheme_traits(config.name).needs_dealer,
            wire=wiring.applied,
        ) as session,
    ):
        ready = prepared_scheme(session, task, config)
        return [run_exchange(*ready, task, index) for index in range(1, repeats + 2)][1:]


def run_all(
    config: SchemeConfig, num_samples: int, repeats: int, threads: int, wiring: Wiring
) -> tuple[list[Run], list[Run]]:
    """The runs of party a and party b."""
    sessions = 1 if scheme_traits(config.name).needs_dealer else 0
    party_a, party_b, *_ = in_both_parties(
        run_party, config, num_samples, repeats, wiring, threads=threads, dealt_sessions=sessions
    )
    return party_a, party_b


def summarize(
    link: LinkSpeed, local: tuple[list[Run], list[Run]], emulated: tuple[list[Run], list[Run]]
) -> dict[str, Any]:
    """Wall time of an evaluation is that of the slower party."""
    sent = [runs[0].bytes_sent for runs in emulated]
    rounds = max(runs[0].rounds for runs in emulated)
    waiting = rounds * link.rtt_seconds
    floor = LinkModel(name=str(link), mbit=link.mbit, rtt_ms=link.rtt_ms).seconds(max(sent), rounds)
    full_duplex = max(sent) / link.bytes_per_second + waiting
    half_duplex = sum(sent) / link.bytes_per_second + waiting
    seconds = _slower(emulated, "seconds")
    local_seconds = _slower(local, "seconds")
    dealer_bytes = [runs[0].dealer_bytes for runs in emulated]
    return {
        "bytes_sent": sent,
        "rounds": rounds,
        "dealer_bytes": dealer_bytes,
        "dealer_line_seconds": max(dealer_bytes) / link.bytes_per_second,
        "local_seconds": local_seconds,
        "local_begin_seconds": _slower(local, "begin_seconds"),
        "online_seconds": seconds,
        "begin_seconds": _slower(emulated, "begin_seconds"),
        "full_duplex_seconds": full_duplex,
        "half_duplex_seconds": half_duplex,
        "floor_seconds": floor,
        "ratio_floor": statistics.median(seconds) / floor,
        "ratio_model": statistics.median(seconds) / (statistics.median(local_seconds) + floor),
        "ratio_full_duplex": statistics.median(seconds) / full_duplex,
        "ratio_half_duplex": statistics.median(seconds) / half_duplex,
        "max_abs_logit_error": max(run.logit_error for runs in emulated for run in runs),
        "max_abs_soft_label_error": max(run.soft_label_error for runs in emulated for run in runs),
    }


def _slower(parties: tuple[list[Run], list[Run]], what: str) -> list[float]:
    return [max(getattr(a, what), getattr(b, what)) for a, b in zip(*parties, strict=True)]


def failures(link: LinkSpeed, calibration: Calibration, by_scheme: dict[str, dict[str, Any]]) -> list[str]:
    """What does not hold, one line each."""
    found = []
    if abs(calibration.rtt_ms - link.rtt_ms) > RTT_TOLERANCE_MS:
        found.append(f"emulated link: the round trip is {calibration.rtt_ms:.2f} ms, not {link.rtt_ms:g}")
    for busy, mbit in (("one way", calibration.one_way_mbit), ("each way", calibration.each_way_mbit)):
        if abs(mbit / link.mbit - 1) > RATE_TOLERANCE:
            found.append(f"emulated link: it carries {mbit:.1f} Mbit/s {busy}, not {link.mbit:g}")
    for name, figures in by_scheme.items():
        ratio, error = figures["ratio_full_duplex"], figures["max_abs_soft_label_error"]
        if name not in COMPUTING and not ratio <= LIMIT:
            found.append(f"{name}: the online time is {ratio:.3f} times what the link must take, more than {LIMIT}")
        if not error <= TOLERANCE:
            found.append(f"{name}: a probability is off by {error:.1e}, more than {TOLERANCE:g}")
    for name, limit in SHARES_OF_CRYPTEN.items():
        if {name, "crypten"} <= by_scheme.keys():
            ratio = _ratio(by_scheme[name], by_scheme["crypten"])
            if not ratio <= limit:
                found.append(f"{name} takes {ratio:.3f} times as long as crypten, more than {limit}")
    return found


def _ratio(mine: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Of the online times, run by run."""
    pairs = zip(mine["online_seconds"], theirs["online_seconds"], strict=True)
    ratios: list[float] = [one / other for one, other in pairs]
    return statistics.median(ratios)


def show(by_scheme: dict[str, dict[str, Any]], title: str) -> None:
    console = Console()
    table = Table("", *by_scheme, title=title)
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "online s, median (quartiles)": lambda row: _spread(row["online_seconds"]),
        "the same without the link": lambda row: _spread(row["local_seconds"]),
        "full duplex s": lambda row: f"{row['full_duplex_seconds']:.3f}",
        "half duplex s": lambda row: f"{row['half_duplex_seconds']:.3f}",
        "floor s": lambda row: f"{row['floor_seconds']:.3f}",
        "online / full duplex": lambda row: f"{row['ratio_full_duplex']:.3f}",
        "online / half duplex": lambda row: f"{row['ratio_half_duplex']:.3f}",
        "online / floor": lambda row: f"{row['ratio_floor']:.3f}",
        "online / (without the link + floor)": lambda row: f"{row['ratio_model']:.3f}",
        "bytes a to b / b to a": lambda row: " / ".join(f"{count:,}" for count in row["bytes_sent"]),
        "rounds": lambda row: str(row["rounds"]),
        "bytes dealer to a / b": lambda row: " / ".join(f"{count:,}" for count in row["dealer_bytes"]),
        "their time on a line s": lambda row: f"{row['dealer_line_seconds']:.3f}",
        "keys and preparation s": lambda row: _spread(row["begin_seconds"]),
        "logit error": lambda row: f"{row['max_abs_logit_error']:.1e}",
        "soft label error": lambda row: f"{row['max_abs_soft_label_error']:.1e}",
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(figures) for figures in by_scheme.values()))
    console.print(table)
    first, *others = by_scheme
    for other in others:
        mine, theirs = by_scheme[first], by_scheme[other]
        num_bytes = sum(theirs["bytes_sent"]) / max(sum(mine["bytes_sent"]), 1)
        console.print(
            f"{other} / {first}: online time {_ratio(theirs, mine):.3f}, bytes between the parties {num_bytes:.3f}"
        )


def _spread(seconds: list[float]) -> str:
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", default="crypten", help="names of schemes, with commas (default crypten)")
    parser.add_argument("--mbit", type=float, default=100.0, help="million bits a second each way (default 100)")
    parser.add_argument("--rtt-ms", type=float, default=40.0, help="milliseconds there and back (default 40)")
    parser.add_argument("--dealer-link", choices=("local", "emulated"), default="local", help="(default local)")
    parser.add_argument("--samples", type=int, default=NUM_SAMPLES, help=f"images a party (default {NUM_SAMPLES})")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads a process (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="evaluations after a warm-up, at least 2 (default 3)")
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    if min(arguments.threads, arguments.samples) < 1 or arguments.repeats < 2:
        parser.error("--threads and --samples must be at least 1 and --repeats at least 2")
    if arguments.mbit <= 0 or arguments.rtt_ms <= 0:
        parser.error("--mbit and --rtt-ms must be above 0")
    link = LinkSpeed(mbit=arguments.mbit, rtt_ms=arguments.rtt_ms)
    calibration = calibrate(link)
    print(f"emulated link {link}; measured with plain sockets: {calibration}")
    slow_roles = (*ROLES[:2], DEALER) if arguments.dealer_link == "emulated" else ROLES[:2]
    by_scheme = {}
    for name in arguments.scheme.split(","):
        common = (SchemeConfig(name=name), arguments.samples, arguments.repeats, arguments.threads)
        local = run_all(*common, Wiring(speeds={}))
        by_scheme[name] = summarize(link, local, run_all(*common, Wiring(speeds=dict.fromkeys(slow_roles, link))))
    show(by_scheme, f"{arguments.samples} images a party, {link}, dealer's link {arguments.dealer_link}")
    if arguments.output is not None:
        figures = {
            "link": dataclasses.asdict(link),
            "dealer_link": arguments.dealer_link,
            "samples": arguments.samples,
            "calibration": dataclasses.asdict(calibration),
            "schemes": by_scheme,
        }
        write_figures(arguments.output, "emulated_link", arguments.threads, figures)
    found = failures(link, calibration, by_scheme)
    for failure in found:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
