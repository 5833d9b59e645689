"""What smule-doctor checks with the others: peer and dealer authenticated, clocks, agreement, cost of an exchange.

The doctors of both sides meet through the same link as a run, if they run at the same time. Where they meet a process
of a run instead, each side learns that the other one accepts its certificate, and the run is not disturbed.
"""

from __future__ import annotations

import math
import time
from functools import partial

import torch

from smule_crypten.config.connection import DealerAddress
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.doctor.checkup import OUTPUTS, Checkup, Skipped, Speed, needed
from smule_crypten.doctor.rehearsal import rehearse
from smule_crypten.errors import CredentialError, HandshakeError, PeerTimeoutError, ProtocolError
from smule_crypten.head_run.terms import head_sizes
from smule_crypten.inference.registry import scheme_class
from smule_crypten.mutual_learning.handshake import handshake, run_handshake
from smule_crypten.mutual_learning.planner import Prices, configured_queries, public_queries
from smule_crypten.party.inputs import public_configuration
from smule_crypten.report.formatting import human_bytes, human_seconds
from smule_crypten.transport.credentials import Certificate, Identity
from smule_crypten.transport.endpoint import Address, OtherwiseEngaged, accept_all, connect, listen
from smule_crypten.transport.faults import Visitor
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import DEALER, ROLES
from smule_crypten.types import Cost, LogitOpening

LARGEST_CLOCK_DIFFERENCE_SECONDS = 60.0
_MEASURED_BYTES = 1 << 20
_REHEARSED_SAMPLES = 64
_REHEARSED_BYTES = 100_000_000
_OPENED: dict[LogitOpening, str] = {"differences": "differences of logits", "values": "each value"}
_AT_BOTH_SIDES = "run smule-doctor at both sides at the same time"


def check_dealer(dealer: DealerAddress, checkup: Checkup) -> str:
    address = Address.parse(dealer.address, "connection.dealer.address")
    try:
        link = _connect(checkup, DEALER, address)
    except OtherwiseEngaged as engaged:
        checkup.clock_differences_seconds[DEALER] = engaged.clock_difference_seconds
        return f"authenticated at {address}, and it accepts this side's certificate"
    except PeerTimeoutError as error:
        raise PeerTimeoutError(f"{error}; see that smule-dealer waits there, and the firewall") from None
    link.close()
    raise ProtocolError(f"{address}: this is no dealer, but a smule-doctor with the dealer's certificate")


def check_peer(checkup: Checkup) -> str:
    peer = ROLES[1 - checkup.config.rank]
    try:
        checkup.link = link = _await_peer(checkup, peer) if checkup.config.rank == 0 else _visit_peer(checkup, peer)
    except OtherwiseEngaged as engaged:
        checkup.clock_differences_seconds[peer] = engaged.clock_difference_seconds
        return "authenticated; it runs smule-party, not smule-doctor, so nothing but the clock was compared"
    theirs = _swap(link, {"doctor": True, "time": time.time(), "ready": _is_ready(checkup)})
    match theirs:
        case {"doctor": True, "time": float(clock), "ready": bool(is_ready)} if math.isfinite(clock):
            checkup.clock_differences_seconds[peer] = clock - time.time()
            checkup.peer_is_ready = is_ready
        case _:
            raise ProtocolError(f"{peer} greeted in another way; use the same version")
    checkup.speed = speed = _measure(link)
    return (
        f"authenticated; the link carries about {8 * speed.bytes_per_second / 1e6:,.1f} Mbit/s each way, "
        f"round trip {1000 * speed.round_trip_seconds:.1f} ms"
    )


def check_clock_of(role: str, checkup: Checkup) -> str:
    """Compare with what role said of its clock when it was met."""
    difference = needed(checkup.clock_differences_seconds.get(role), f"an answer of {role}")
    if abs(difference) > LARGEST_CLOCK_DIFFERENCE_SECONDS:
        direction = "ahead of" if difference > 0 else "behind"
        raise HandshakeError(
            f"the clock of {role} is {abs(difference):.0f} seconds {direction} this one; set both, best by NTP"
        )
    return f"agrees with this one within {max(1, math.ceil(abs(difference)))} s"


def check_agreement(checkup: Checkup) -> str:
    """The handshake of a run: public configuration and architectures."""
    link = needed(checkup.link, "the other side's doctor")
    config = checkup.config
    if not _is_ready(checkup) or checkup.translated is None or not checkup.peer_is_ready:
        raise Skipped("needs the model and the terms at both sides")
    bundle = needed(checkup.inputs, "the data").bundle
    protocol = public_configuration(config, bundle).model_copy(update={"terms": checkup.terms or None})
    steps = handshake(protocol, config.rank, checkup.translated.architecture)
    try:
        architectures = run_handshake(steps, partial(_swap, link))
    except HandshakeError as error:
        link.refuse(str(error), type(error).__name__)
        raise
    checkup.peer_architecture = architectures[1 - config.rank]
    return (
        f"same public configuration, {_describe(protocol)}; the peer's network has "
        f"{len(checkup.peer_architecture.ops)} operations"
    )


def _is_ready(checkup: Checkup) -> bool:
    return checkup.translated is not None and checkup.terms is not None


def _describe(protocol: ProtocolConfig) -> str:
    """What both sides agree on about what is learned and the data, as a person would check it."""
    data = protocol.data
    names = "numbered only" if data.class_names is None else f"in the order {', '.join(data.class_names)}"
    parts = [
        f"task={protocol.task}",
        f"answers open {_OPENED[protocol.opening]}",
        f"{data.num_classes} {OUTPUTS[protocol.task]} {names}",
        f"mean {_list(data.mean)}",
        f"std {_list(data.std)}",
    ]
    if protocol.task == "regression":
        parts += [f"target_mean {_list(data.target_mean)}", f"target_std {_list(data.target_std)}"]
    parts += ["the same schema of the table"] if data.columns else []
    return ", ".join(parts)


def _list(values: tuple[float, ...]) -> str:
    shown = values[:1] if len(set(values)) == 1 else values
    return ", ".join(f"{value:g}" for value in shown)


def check_rehearsal(checkup: Checkup) -> str:
    translated, inputs = needed(checkup.translated, "the model"), needed(checkup.inputs, "the data")
    config = checkup.config
    cost = scheme_class(config.scheme.name).cost_of(
        translated.architecture, 1, config.scheme, dealt=config.needs_dealer
    )
    fitting = max(1, _REHEARSED_BYTES // max(1, cost.data_owner.bytes_total))
    count = min(_REHEARSED_SAMPLES, fitting, config.scheme.micro_batch, len(inputs.train))
    samples = inputs.train.read(torch.arange(count))
    rehearsal = rehearse(config, samples, inputs.bundle.num_classes)
    checkup.seconds_a_query = rehearsal.seconds / (2 * rehearsal.num_samples)
    players = "two parties and a dealer" if config.needs_dealer else "two parties"
    return (
        f"{rehearsal.num_samples} samples each way between {players} on this machine in "
        f"{human_seconds(rehearsal.seconds)}, logits off by at most {rehearsal.max_abs_logit_error:.1e}"
    )


def check_cost(checkup: Checkup) -> str:
    """Bytes are exact for the stated numbers of queries, but for what goes ahead at most; the time is about."""
    own = needed(checkup.translated, "the model").architecture
    num_train = len(needed(checkup.inputs, "the data").train)
    config, peer = checkup.config, checkup.peer_architecture
    queries = configured_queries(config.exchange)
    asked = num_train if queries is None else min(queries[config.rank], num_train)
    answered = asked if queries is None else queries[1 - config.rank]
    scheme = scheme_class(config.scheme.name)
    theirs = own if peer is None else peer
    is_a = config.rank == 0
    architectures = (own, theirs) if is_a else (theirs, own)
    prices = Prices(scheme=scheme, config=config.scheme, architectures=architectures, dealt=config.needs_dealer)
    cost = prices.cost(config.rank, (asked, answered) if is_a else (answered, asked))
    public = public_queries(config.public_pool, config.exchange)
    cost += prices.public_cost(config.rank, public)
    beside = f"{public[config.rank]} public ones made, {public[1 - config.rank]} answered, " if any(public) else ""
    text = f"{asked} queries made, {answered} answered, {beside}".removesuffix(", ") + ": "
    text += f"{human_bytes(cost.bytes_sent)} sent, "
    text += f"{human_bytes(cost.bytes_received)} received, "
    text += f"{human_bytes(cost.dealer_bytes)} from the dealer, " if config.needs_dealer else ""
    text += f"{cost.rounds} rounds{_about(checkup, cost, asked + answered)}"
    if prices.set_up_bytes:
        text += f"; once before all exchanges {human_bytes(prices.set_up_bytes)} of both parties together"
    text += _of_head(config, needed(checkup.inputs, "the data").bundle)
    return text if peer is not None else f"{text} (assuming that the peer's network is like your own)"


def _of_head(config: PartyConfig, bundle: DataBundle) -> str:
    """What the joint head costs and opens; empty without one. Raises ConfigError where its noise hides too little."""
    sizes = head_sizes(config, bundle)
    if sizes is None:
        return ""
    sizes.check_noise()
    text = f"; the joint head once, of {sizes.terms.features:,} features, at most {human_bytes(sizes.most_bytes)} of "
    text += (
        f"both parties together, {human_bytes(sizes.solve_cost(is_P=True).bytes_total)} of it for the solve, if one "
    )
    text += "attempt suffices"
    if sizes.is_revealed:
        return f"{text}; both learn its weights, under noise of {sizes.sigma:.2g}"
    counted = "in each output folder" if config.disclosure.ledger is None else "in all runs of disclosure.ledger"
    return f"{text}; {sizes.most_answers} answers of it each way at most {counted}, under noise of {sizes.sigma:.2g}"


def _about(checkup: Checkup, cost: Cost, queries: int) -> str:
    computing, speed = checkup.seconds_a_query, checkup.speed
    if computing is None:
        return ""
    text = f"; about {human_seconds(computing * queries)} of computation"
    if speed is None:
        return f"{text}, and what the link takes"
    # A round takes half a round trip where both sides send at once; better too long than too short.
    on_link = max(cost.bytes_sent, cost.bytes_received) / speed.bytes_per_second
    on_link += cost.rounds * speed.round_trip_seconds
    return f"{text} and {human_seconds(on_link)} on the link"


def _await_peer(checkup: Checkup, peer: str) -> Link:
    listen_at = Address.parse(needed(checkup.connection.listen, "connection.listen"), "connection.listen")
    identity, certificate = _credentials(checkup, peer)
    turned_away: list[Visitor] = []
    _say_who_is_awaited(checkup, peer, f"{listen_at} (here)")
    with listen(listen_at) as listener:
        try:
            links = accept_all(
                listener,
                identity,
                {peer: certificate},
                join_seconds=checkup.wait_seconds,
                deadline_seconds=checkup.config.launch.deadline_seconds,
                purpose="smule-doctor",
                on_turned_away=turned_away.append,
            )
        except PeerTimeoutError as error:
            _blame_certificates(turned_away, peer, identity, certificate)
            raise Skipped(f"nobody came: {error}; {_AT_BOTH_SIDES}") from None
    return links[peer]


def _blame_certificates(visitors: list[Visitor], peer: str, identity: Identity, pinned: Certificate) -> None:
    """Raises CredentialError where somebody came, but one side has another certificate pinned than it should."""
    for who in visitors:
        if who.fault == "our certificate":
            raise CredentialError(
                f"{who.host} came, but does not accept our certificate: if it is {peer}, it has another one pinned "
                f"than {identity.certificate.path}, SHA-256 {identity.certificate.fingerprint}; its doctor shows both"
            )
    for who in visitors:
        if who.fault == "their certificate":
            raise CredentialError(
                f"{who.host} came with a certificate that is not {pinned.path}, SHA-256 {pinned.fingerprint}: if it is "
                f"{peer}, its doctor shows the fingerprint of its own; compare both and exchange certificates again"
            )


def _visit_peer(checkup: Checkup, peer: str) -> Link:
    address = Address.parse(needed(checkup.connection.peer.address, "its address"), "connection.peer.address")
    try:
        return _connect(checkup, peer, address)
    except PeerTimeoutError as error:
        raise PeerTimeoutError(f"{error}; see the firewall, and {_AT_BOTH_SIDES}") from None


def _connect(checkup: Checkup, role: str, address: Address) -> Link:
    identity, certificate = _credentials(checkup, role)
    _say_who_is_awaited(checkup, role, str(address))
    return connect(
        address,
        identity,
        role,
        certificate,
        join_seconds=checkup.wait_seconds,
        deadline_seconds=checkup.config.launch.deadline_seconds,
        purpose="smule-doctor",
        known=checkup.certificates,
    )


def _say_who_is_awaited(checkup: Checkup, role: str, address: str) -> None:
    checkup.say(f"waiting for {role} at {address}, for at most {checkup.wait_seconds:g} seconds")


def _credentials(checkup: Checkup, role: str) -> tuple[Identity, Certificate]:
    return needed(checkup.identity, "the private key"), needed(checkup.certificates.get(role), "its certificate")


def _swap(link: Link, message: object) -> object:
    link.send_json(message)
    return link.receive_json()[0]


def _measure(link: Link) -> Speed:
    """Three round trips, then twice some bytes both ways at once, of which the first warms TCP up."""
    round_trips, transfers = [], []
    for _ in range(3):
        started = time.perf_counter()
        _swap(link, {})
        round_trips.append(time.perf_counter() - started)
    for _ in range(2):
        started = time.perf_counter()
        link.transfer([memoryview(bytes(_MEASURED_BYTES))], [memoryview(bytearray(_MEASURED_BYTES))])
        transfers.append(time.perf_counter() - started)
    return Speed(round_trip_seconds=min(round_trips), bytes_per_second=_MEASURED_BYTES / transfers[-1])
