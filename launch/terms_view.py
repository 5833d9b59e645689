"""Terms as people read them: a table with names and dates, sentences for whoever answers for it, and who has signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.errors import printable
from smule_crypten.report.formatting import count, flattened
from smule_crypten.report.terminal import Facts
from smule_crypten.terms.approval import Approval
from smule_crypten.terms.document import PARTIES, SignedTerms, Terms
from smule_crypten.types import LogitOpening

_OPENED: dict[LogitOpening, str] = {
    "differences": "the differences between the outputs (logits) of the network",
    "values": "the outputs (logits) of the network",
}


def show_document(document: SignedTerms, console: Console) -> None:
    """All of it. Signatures are named, and not verified."""
    terms = document.terms
    present = {"party a": terms.certificates.a, "party b": terms.certificates.b, "dealer": terms.certificates.dealer}
    facts = {role: f"{one.name}, SHA-256 {one.fingerprint}" for role, one in present.items() if one is not None}
    facts |= {"from": terms.not_before, "to": terms.not_after, "digest": terms.digest()}
    for party in PARTIES:
        signature = document.of(party)
        state = "not signed" if signature is None else f"signature of {signature.signed_at}, not verified by `show`"
        facts[f"signed by {party}"] = state
    console.print(Facts(facts))
    for number, text in enumerate(sentences(terms), 1):
        # Somebody else may have written the file.
        console.print(Text(printable(f"{number}. {text}")), soft_wrap=not console.is_terminal)
    console.print(Text("\nAll that the programs compare:"))
    for key, value in flattened(terms.protocol.model_dump(mode="json")):
        console.print(Text(printable(f"  {key}: {value}")), soft_wrap=True)


def show_approval(approval: Approval, path: Path, party: str, console: Console) -> None:
    """What was verified, in words; nothing that failed comes here."""
    terms, certificates = approval.terms, approval.terms.certificates
    lines = [
        f"party {name}  signed by {one.name} on {approval.signed_at[name]}, by the key of the pinned certificate"
        for name, one in (("a", certificates.a), ("b", certificates.b))
    ]
    lines += [
        f"valid    now, from {terms.not_before} to {terms.not_after}",
        f"party {party}  configuration, limits and certificates of this side are as agreed",
        f"APPROVED by both: {path}, digest {approval.digest}",
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def sentences(terms: Terms) -> Iterator[str]:
    """What is agreed on, without what only programs need."""
    protocol, exchange, data = terms.protocol, terms.protocol.exchange, terms.protocol.data
    yield f"Purpose. {terms.purpose}"
    yield (
        f"Time. From {terms.not_before} to {terms.not_after}, in UTC, any number of runs may begin, and of "
        "questions to trained networks; they may end later."
    )
    yield f"Parties. Party a is {terms.certificates.a.name}, party b is {terms.certificates.b.name}. {_third(terms)}"
    rhythm = "every epoch" if exchange.every == 1 else f"one epoch in {exchange.every}"
    yield (
        f"What is done. Each party trains a network on its own data, for {protocol.epochs} epochs, and again "
        f"while both ask each other's networks about samples of their own, at the start of {rhythm}: {_asked(terms)}."
    )
    yield (
        f"What each learns. Who asks learns {_OPENED[protocol.opening]} about its own samples, with noise. If both "
        "follow the protocol, it sees no samples and no weights of the other one; a party that deviates from it can "
        "take the other one's weights without being noticed."
    )
    if protocol.joint_head.is_on:
        yield _head(protocol.joint_head)
    for name, limits in (("a", terms.limits.a), ("b", terms.limits.b)):
        yield f"Limits of party {name}. {_limits(limits)}"
    names = "numbered only" if data.class_names is None else ", ".join(data.class_names)
    shape = " x ".join(map(str, data.input_shape))
    yield f"What both know. Inputs of shape {shape}; {data.num_classes} outputs: {names}."
    if protocol.features.name != "none":
        yield f"Features. Each applies the public map {protocol.features.name} to its own samples beforehand."
    if data.columns:
        yield f"Columns of the table, which both read: {', '.join(data.columns)}."
    if protocol.public_pool.digest is not None:
        pool = protocol.public_pool
        yield f"Public samples. Both may be asked about {count(pool.num_samples)} samples that both have, in the clear."
    yield "A number of answers limits what they tell about a network; it is no guarantee of privacy."


def _third(terms: Terms) -> str:
    dealer = terms.certificates.dealer
    if dealer is None:
        return "No third organisation takes part."
    return (
        f"{dealer.name} deals random numbers to both. It sees no data, but together with one party it could compute "
        "all that the other one has."
    )


def _head(head: JointHeadTerms) -> str:
    text = (
        "Joint head. Before anything is trained, both compute weights of a linear model of the labelled samples of "
        f"both, on {count(head.features)} features; these stay shared between them."
    )
    if head.reveal != "nobody":
        return f"{text} Then they are revealed to both, with noise, and tell each of sums over the other one's samples."
    return (
        f"{text} Each asks what they say of own samples, with noise: at most {count(head.answers)} times in all runs "
        "that the ledger of the other one counts. These do not count below."
    )


def _asked(terms: Terms) -> str:
    exchange = terms.protocol.exchange
    if exchange.num_queries is None:
        text = "each about all of its samples"
    else:
        of_both = f"both together about at most {count(2 * exchange.num_queries)} samples"
        text = f"{of_both}, {100 * exchange.share_a:g} % of them party a's"
    return text if exchange.budget_mb is None else f"{text}, and no more than {exchange.budget_mb:g} MB pay for"


def _limits(limits: DisclosureLimits) -> str:
    text = (
        "Each time its network answers about as much as the plan asks for, without a limit of all"
        if limits.max_answers_total is None
        else f"Its network answers about at most {count(limits.max_answers_total)} in all that one ledger counts"
    )
    if limits.max_answers_per_exchange is not None:
        text += f", about at most {count(limits.max_answers_per_exchange)} in one exchange"
    text += f"; {limits.repeats} exchanges of a run may be attempted again"
    return f"{text}; noise of {limits.logit_noise:g} is added to each output." if limits.logit_noise else f"{text}."
