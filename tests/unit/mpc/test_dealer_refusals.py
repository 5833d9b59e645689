from __future__ import annotations

from typing import Any

import pytest
import torch
from dealing_links import ENTROPY, ScriptedLink, announcement, scheme, small_architecture, terms

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.errors import HandshakeError, ProtocolError, SmuleError
from smule_crypten.inference.registry import DEALT
from smule_crypten.mpc.dealer import MAX_QUERIES, Dealer
from smule_crypten.transport.frames import AGREED_JSON_BYTES

DONE = {"done": True}


def serve(at_a: list[object], at_b: list[object], *, allow_insecure: bool = False) -> tuple[int, list[ScriptedLink]]:
    """Let a dealer serve two parties that say this; how many exchanges it served, and the links."""
    links = [ScriptedLink(at_a), ScriptedLink(at_b)]
    dealer = Dealer((links[0], links[1]), DEALT, allow_insecure=allow_insecure)  # type: ignore[arg-type]
    return dealer.serve(), links


def stated(agreed: object, *after: object) -> tuple[list[object], list[object]]:
    """Both parties state the same terms and then say the same."""
    at_a, at_b = ([{"rank": rank, "terms": agreed}, *after] for rank in (0, 1))
    return at_a, at_b


def refusal(at_a: list[object], at_b: list[object], kind: type[SmuleError], **keywords: bool) -> str:
    with pytest.raises(kind) as refused:
        serve(at_a, at_b, **keywords)
    assert "\n" not in str(refused.value)
    assert refused.value.tell_peer
    return str(refused.value)


def test_an_ordinary_run() -> None:
    """Protects: exchanges are served in order, only the model owner is sent tensors, and a new entropy each time."""
    served, links = serve(*stated(terms(), announcement(), announcement(exchange=7, counts=[0, 1]), DONE))
    assert served == 2
    # b's network on 4 and then 1 of a's samples, a's network on 1 sample of b: 1 product, 8 triples, 1 bit, 1 product.
    assert [len(link.transferred) for link in links] == [10, 20]
    assert len(links[1].transferred[0]) == 4 * 3 * 8
    contributions = [message["entropy"] for link in links for message in link.told if "entropy" in message]
    assert len(set(contributions)) == 4
    assert [link.told[0] for link in links] == [{"agreed": True}] * 2


def test_a_run_without_exchanges() -> None:
    """Protects: parties that never ask end the dealer in order."""
    assert serve(*stated(terms(), DONE))[0] == 0


def test_a_scheme_that_protects_nothing_needs_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dealer between hosts deals for none, whatever the parties agree on."""
    monkeypatch.setitem(SCHEME_TRAITS, "crypten", SchemeTraits(adversary="none", needs_dealer=True))
    script = stated(terms(), DONE)
    assert "the parties want scheme=crypten, which gives no protection" in refusal(*script, HandshakeError)
    assert serve(*script, allow_insecure=True)[0] == 0


@pytest.mark.parametrize("name", ["two_party", "plaintext"])
def test_a_scheme_without_a_dealer_is_not_dealt_for(name: str) -> None:
    """Protects: parties that come all the same read that they need nobody."""
    told = refusal(*stated(terms(scheme=scheme(name=name)), DONE), HandshakeError)
    assert told == f"scheme={name} has no dealer; start the two parties alone"


def test_a_network_beyond_the_agreed_limit_is_refused() -> None:
    """Protects the dealer's memory: a network is measured before anything is dealt for it."""
    at_both = stated(terms(scheme=scheme(max_elements=10)), DONE)
    assert "elements, scheme.max_elements allows 10" in refusal(*at_both, HandshakeError)


def test_messages_are_short_once_terms_are_agreed() -> None:
    """Terms hold two architectures; nothing that follows is as long."""
    assert [link.message_limit for link in serve(*stated(terms(), DONE))[1]] == [AGREED_JSON_BYTES] * 2


def test_seeded_runs_need_permission() -> None:
    """Protects: keys that anybody can compute are refused between hosts, and allowed in a simulation that asks."""
    script = stated(terms(randomness="seeded_insecure", seed=3), DONE)
    assert "randomness=seeded_insecure, which this dealer does not allow" in refusal(*script, HandshakeError)
    assert serve(*script, allow_insecure=True)[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": scheme(micro_batch=5)},
        {"scheme": scheme(name="lean")},
        {"scheme": scheme(options={"ring_bits": 40})},
        {"seed": 1},
        {"architectures": [small_architecture()]},
        {"randomness": "seeded_insecure"},
    ],
    ids=str,
)
def test_different_terms_are_refused(change: dict[str, Any]) -> None:
    """Protects: nothing is dealt for a run on which the parties do not agree."""
    at_a, _ = stated(terms())
    _, at_b = stated(terms(**change))
    assert "the parties stated different terms" in refusal(at_a, at_b, HandshakeError)


UNUSABLE_TERMS: list[tuple[object, str]] = [
    (None, "terms"),
    ([terms()], "terms"),
    ("terms", "terms"),
    (terms(scheme=scheme(micro_batch=0)), "scheme.micro_batch"),
    (terms(scheme=scheme(micro_batch=1 << 20)), "scheme.micro_batch"),
    (terms(scheme=scheme(micro_batch="4")), "scheme.micro_batch"),
    (terms(scheme=scheme(micro_batch=4.0)), "scheme.micro_batch"),
    (terms(scheme=scheme(micro_batch=True)), "scheme.micro_batch"),
    (terms(scheme=scheme(name=7)), "scheme.name"),
    (terms(scheme=scheme(precision_bits=64)), "scheme.precision_bits"),
    (terms(scheme=scheme(options=[])), "scheme.options"),
    (terms(scheme=scheme(function="deal")), "scheme.function: unknown key"),
    (terms(scheme="crypten"), "scheme"),
    (terms(scheme=None), "scheme"),
    (terms(seed=-1), "seed"),
    (terms(randomness="weak"), "randomness"),
    (terms(randomness=None), "randomness"),
    (terms(architectures=[small_architecture()] * 3), "architectures"),
    (terms(architectures=["small", "small"]), "architectures"),
    (terms(architectures=None), "architectures"),
    (terms(operation="generate_additive_triple"), "operation: unknown key"),
    ({"scheme": scheme(), "randomness": "fresh", "seed": 0}, "architectures: must be given"),
]


@pytest.mark.parametrize(("agreed", "named"), UNUSABLE_TERMS, ids=lambda value: str(value)[-60:])
def test_unusable_terms_are_refused(agreed: object, named: str) -> None:
    """Protects: types are not converted, ranges are checked, and no unknown field is let through."""
    message = refusal(*stated(agreed), HandshakeError)
    assert "unusable terms" in message
    assert named in message


@pytest.mark.parametrize("name", ["", "Crypten", "later", "__class__", "smule_crypten.inference.crypten"])
def test_unknown_schemes_are_refused(name: str) -> None:
    """Protects: what is dealt stands in the dealer's own table; a name off the wire is looked up nowhere else."""
    message = refusal(*stated(terms(scheme=scheme(name=name)), announcement(), DONE), HandshakeError)
    assert message == f"this dealer does not know the scheme {name!r}; use the same version"


def _architecture_with(**changes: object) -> dict[str, Any]:
    architecture = small_architecture()
    architecture["ops"][1] |= changes
    return architecture


@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"input_shape": [1, 1, 2], "ops": []},
        _architecture_with(kind="__class__"),
        _architecture_with(kind="relu"),
        _architecture_with(weight_shape=[3, 5]),
        _architecture_with(weight_shape=[1 << 40, 2]),
        _architecture_with(inputs=[5]),
        _architecture_with(forward="eval"),
    ],
    ids=str,
)
@pytest.mark.parametrize("party", [0, 1])
def test_unusable_architectures_are_refused(architecture: dict[str, Any], party: int) -> None:
    """Protects: the plan follows from checked shapes; an operation is one of a closed list, not a name to look up."""
    architectures = [small_architecture(), small_architecture()]
    architectures[party] = architecture
    assert "unusable architecture" in refusal(*stated(terms(architectures=architectures)), HandshakeError)


@pytest.mark.parametrize(
    "opening",
    [
        {"rank": 0, "terms": terms()},
        {"terms": terms()},
        {"rank": 1},
        [1],
        None,
        DONE,
        {"rank": 1, "terms": 1, "call": "f"},
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_party_that_does_not_introduce_itself_is_refused(opening: object) -> None:
    """Protects: whoever sits on party b's link must claim to be party b, and say nothing else."""
    at_a, _ = stated(terms())
    assert "party b did not state rank and terms" in refusal(at_a, [opening], HandshakeError)


@pytest.mark.parametrize(("at_b"), [announcement(exchange=2), announcement(counts=[5, 1])], ids=str)
def test_different_announcements_are_refused(at_b: dict[str, Any]) -> None:
    """Protects: streams of the parties that do not fit would give garbage without an error."""
    first, second = stated(terms())
    message = refusal([*first, announcement()], [*second, at_b], ProtocolError)
    assert "party a announces exchange 1 with (5, 0) queries, party b exchange" in message


@pytest.mark.parametrize("again", [1, 3])
def test_an_exchange_is_dealt_once(again: int) -> None:
    """Protects: no correlated randomness is ever made for an index that was served, or passed over, before."""
    script = stated(terms(), announcement(exchange=3), announcement(exchange=again))
    assert f"exchange {again} was dealt before" in refusal(*script, ProtocolError)


UNUSABLE_ANNOUNCEMENTS: list[tuple[object, str]] = [
    (None, "valid dictionary"),
    ([1, [1, 1], ENTROPY], "valid dictionary"),
    (announcement(exchange=0), "exchange"),
    (announcement(exchange="1"), "exchange"),
    (announcement(exchange=True), "exchange"),
    (announcement(exchange=1.0), "exchange"),
    (announcement(counts=[-1, 0]), "counts.0"),
    (announcement(counts=[0, MAX_QUERIES + 1]), "counts.1"),
    (announcement(counts=["5", 0]), "counts.0"),
    (announcement(counts=[True, 0]), "counts.0"),
    (announcement(counts=[1.0, 0]), "counts.0"),
    (announcement(counts=[1]), "counts"),
    (announcement(counts=[1, 1, 1]), "counts"),
    (announcement(counts="11"), "counts"),
    (announcement(entropy=""), "entropy"),
    (announcement(entropy=ENTROPY[:-2]), "entropy"),
    (announcement(entropy=ENTROPY[:-1] + "g"), "entropy"),
    (announcement(entropy=ENTROPY[:-1] + " "), "entropy"),
    (announcement(entropy=ENTROPY + "\n"), "entropy"),
    (announcement(entropy=[0] * 32), "entropy"),
    (announcement(function="square"), "function: unknown key"),
    ({"exchange": 1, "entropy": ENTROPY}, "counts: must be given"),
    (DONE | announcement(), "done: unknown key"),
]


@pytest.mark.parametrize(("announced", "named"), UNUSABLE_ANNOUNCEMENTS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("party", [0, 1])
def test_unusable_announcements_are_refused(announced: object, named: str, party: int) -> None:
    """Protects: the same for what is said before each exchange; the party that said it is named."""
    scripts = stated(terms(), announcement())
    scripts[party][1] = announced
    message = refusal(*scripts, ProtocolError)
    assert message.startswith(f"party {'ab'[party]} announced no usable exchange: ")
    assert named in message


def test_one_party_alone_cannot_end_the_run() -> None:
    """Protects: parties that disagree on the number of exchanges are told so."""
    first, second = stated(terms())
    assert "party a announced no usable exchange" in refusal([*first, DONE], [*second, announcement()], ProtocolError)


def test_corrections_follow_the_micro_batches() -> None:
    """Protects: sizes on the wire are those of the plan, remainder last."""
    _, (_, at_model_owner) = serve(*stated(terms(), announcement(counts=[9, 0]), DONE))
    products = [len(data) for data in at_model_owner.transferred[::10]]
    assert products == [8 * 3 * batch for batch in (4, 4, 1)]
    assert all(torch.frombuffer(bytearray(data), dtype=torch.int64).any() for data in at_model_owner.transferred)
