from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from smule_crypten.config.exchange import ExchangeTerms
from smule_crypten.config.protocol import ProtocolConfig, PublicData
from smule_crypten.config.sections import ProviderConfig, SchemeConfig
from smule_crypten.errors import HandshakeError, ModelError
from smule_crypten.models.architecture import Architecture
from smule_crypten.mutual_learning.handshake import Architectures, agreement_digest, handshake, run_handshake

Steps = Generator[dict[str, Any], object, Architectures]


def make_config(**changes: Any) -> ProtocolConfig:
    values: dict[str, Any] = {
        "scheme": SchemeConfig(name="crypten"),
        "opening": "differences",
        "provider": ProviderConfig(name="trusted_first_party"),
        "randomness": "fresh",
        "exchange": ExchangeTerms(),
        "epochs": 3,
        "task": "classification",
        "data": make_data(),
    }
    return ProtocolConfig(**(values | changes))


def make_data(**changes: Any) -> PublicData:
    values: dict[str, Any] = {
        "input_shape": (1, 2, 2),
        "num_classes": 3,
        "class_names": ("ant", "bee", "cow"),
        "mean": (0.5,),
        "std": (0.25,),
        "target_mean": (),
        "target_std": (),
    }
    return PublicData(**(values | changes))


def make_architecture(hidden: int | None = None, num_classes: int = 3, input_shape: Sequence[int] = (1, 2, 2)) -> Any:
    """JSON of a network with one linear layer, or two."""
    features = input_shape[0] * input_shape[1] * input_shape[2]
    widths = [features, num_classes] if hidden is None else [features, hidden, num_classes]
    ops: list[dict[str, Any]] = [{"kind": "flatten", "name": "flatten", "inputs": [-1]}]
    for position in range(len(widths) - 1):
        shape = [widths[position + 1], widths[position]]
        ops.append(
            {"kind": "linear", "name": f"fc{position}", "inputs": [position], "weight_shape": shape, "bias": True}
        )
    return {"input_shape": list(input_shape), "ops": ops}


CONFIG = make_config()
A, B = (Architecture.from_json(make_architecture(hidden)) for hidden in (None, 5))


def over_the_wire(message: object) -> Any:
    return json.loads(json.dumps(message))


def talk(steps: Steps, answers: Sequence[object]) -> tuple[list[dict[str, Any]], Architectures | None]:
    """Let one side run against a list of the peer's messages; what it sent, and its result if it came to one."""
    sent = [next(steps)]
    for answer in answers:
        try:
            sent.append(steps.send(over_the_wire(answer)))
        except StopIteration as finished:
            return sent, finished.value
    return sent, None


def messages_of(rank: int, config: ProtocolConfig = CONFIG, architecture: object = None) -> list[Any]:
    """What an honest party says, step by step."""
    own = (A, B)[rank]
    return [
        {"rank": rank, "config": over_the_wire(config.model_dump(mode="json"))},
        {"architecture": own.to_json() if architecture is None else architecture},
        {"digest": agreement_digest(CONFIG, (A, B))},
    ]


def test_agreement() -> None:
    """Both sides end with the same two architectures, party a's first, having said the same about everything else."""
    sent_by_a, result_at_a = talk(handshake(CONFIG, 0, A), messages_of(1))
    sent_by_b, result_at_b = talk(handshake(CONFIG, 1, B), messages_of(0))
    assert result_at_a == result_at_b == (A, B)
    assert over_the_wire(sent_by_a) == messages_of(0)
    assert over_the_wire(sent_by_b) == messages_of(1)


def test_driver_carries_messages_both_ways() -> None:
    """run_handshake hands each own message to the link and each answer back to the handshake."""
    answers, sent = iter(messages_of(1)), []

    def swap(message: object) -> object:
        sent.append(over_the_wire(message))
        return next(answers)

    assert run_handshake(handshake(CONFIG, 0, A), swap) == (A, B)
    assert sent == messages_of(0)


def test_nothing_secret_is_sent() -> None:
    """The messages hold the public configuration, the architecture and the digest, and no key beside them."""
    sent, _ = talk(handshake(CONFIG, 0, A), messages_of(1))
    assert [sorted(message) for message in sent] == [["config", "rank"], ["architecture"], ["digest"]]
    assert sent[0]["config"].keys() == ProtocolConfig.model_fields.keys()


def with_columns(**columns: str) -> ProtocolConfig:
    return make_config(data=make_data(columns=columns))


def test_schemas_are_compared_by_column() -> None:
    """A column that one side lacks is named first, since it gives all that follow another number; of many, some."""
    own = with_columns(**{f"c{number:02}": f"{number}. {{}}" for number in range(30)})
    theirs = with_columns(extra="0. {}", **{f"c{number:02}": f"{number + 1}. {{}}" for number in range(30)})
    with pytest.raises(HandshakeError) as raised:
        talk(handshake(own, 0, A), messages_of(1, theirs))
    text = str(raised.value)
    assert text.index("data.columns.extra: 'absent' here, '0. {}' at party b") < text.index(
        "data.columns.c00: '0. {}' here, '1. {}' at party b"
    )
    assert text.endswith("; and 21 more")


DIFFERENCES: dict[str, tuple[ProtocolConfig, list[str]]] = {
    "scheme": (make_config(scheme=SchemeConfig(name="plaintext")), ["scheme.name: 'crypten' here, 'plaintext' at"]),
    "precision": (
        make_config(scheme=SchemeConfig(name="crypten", precision_bits=20)),
        ["scheme.precision_bits: 16 here, 20 at"],
    ),
    "micro-batch": (
        make_config(scheme=SchemeConfig(name="crypten", micro_batch=7)),
        ["scheme.micro_batch: 64 here, 7 at"],
    ),
    "randomness": (
        make_config(randomness="seeded_insecure"),
        ["randomness: 'fresh' here, 'seeded_insecure' at"],
    ),
    "queries": (
        make_config(exchange=ExchangeTerms(num_queries=9)),
        ["exchange.num_queries: 200 here, 9 at"],
    ),
    "schedule and epochs": (
        make_config(exchange=ExchangeTerms(every=2), epochs=4),
        ["epochs: 3 here, 4 at", "exchange.every: 4 here, 2 at"],
    ),
    "input shape": (
        make_config(data=make_data(input_shape=(1, 4, 4))),
        ["data.input_shape: [1, 2, 2] here, [1, 4, 4] at"],
    ),
    "number of classes": (make_config(data=make_data(num_classes=10)), ["data.num_classes: 3 here, 10 at"]),
    "classes": (
        make_config(data=make_data(class_names=("ant", "bee", "dog"))),
        ["data.class_names: ['ant', 'bee', 'cow'] here, ['ant', 'bee', 'dog'] at"],
    ),
    "mean": (make_config(data=make_data(mean=(0.4,))), ["data.mean: [0.5] here, [0.4] at"]),
    "deviation": (make_config(data=make_data(std=(0.3,))), ["data.std: [0.25] here, [0.3] at"]),
    "task": (make_config(task="regression"), ["task: 'classification' here, 'regression' at"]),
    "scale of targets": (make_config(data=make_data(target_mean=(1.0,))), ["data.target_mean: [] here, [1.0] at"]),
    "opening": (make_config(opening="values"), ["opening: 'differences' here, 'values' at"]),
    "version": (make_config(protocol_version=2), ["protocol_version: 3 here, 2 at"]),
}


@pytest.mark.parametrize(("other", "expected"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_differences_are_named_with_both_values(other: ProtocolConfig, expected: list[str]) -> None:
    """Parties that disagree would compute garbage; the user reads which key differs and what each side has."""
    with pytest.raises(HandshakeError, match="configured differently") as caught:
        talk(handshake(CONFIG, 0, A), messages_of(1, other))
    assert all(f"{difference} party b" in str(caught.value) for difference in expected)
    assert str(caught.value).count(" here, ") == len(expected)


@pytest.mark.parametrize(
    ("theirs", "advice"),
    [
        (("bee", "ant", "cow"), "the same classes in another order"),
        (None, "one side numbers its classes only; name them there by data.options.class_names"),
        (("ant", "bee", "dog"), None),
    ],
)
def test_what_to_do_about_classes(theirs: tuple[str, ...] | None, advice: str | None) -> None:
    """A wrong order would teach wrong classes in silence; both sides learn that it is the order, and what to do."""
    other = make_config(data=make_data(class_names=theirs))
    for own, rank, peers in ((CONFIG, 0, other), (other, 1, CONFIG)):
        with pytest.raises(HandshakeError, match=r"data\.class_names: ") as caught:
            talk(handshake(own, rank, (A, B)[rank]), messages_of(1 - rank, peers))
        assert str(caught.value).count("data.class_names: ") == (1 if advice is None else 2)
        assert advice is None or advice in str(caught.value)


def test_long_lists_are_shown_where_they_begin_to_differ() -> None:
    """A thousand class names do not make a message that nobody can read, whatever the peer sends."""
    names = tuple(f"species number {number}" for number in range(1000))
    other = (*names[:700], "hoax", *names[701:])
    own, theirs = (make_config(data=make_data(num_classes=1000, class_names=each)) for each in (names, other))
    with pytest.raises(HandshakeError) as caught:
        talk(handshake(own, 0, A), messages_of(1, theirs))
    assert "1000 values, from number 700 on ['species number 700', " in str(caught.value)
    assert "1000 values, from number 700 on ['hoax', " in str(caught.value)
    assert len(str(caught.value)) < 700


def test_other_side_sees_the_mirror_image() -> None:
    """Each party's message is from its own point of view."""
    other = make_config(epochs=4)
    with pytest.raises(HandshakeError, match="epochs: 4 here, 3 at party a"):
        talk(handshake(other, 1, B), messages_of(0))


def test_keys_of_another_version() -> None:
    """A key that only one side knows is a difference too."""
    newer = messages_of(1)[0]
    newer["config"]["exchange"]["double_checks"] = 5
    del newer["config"]["randomness"]
    with pytest.raises(HandshakeError) as caught:
        talk(handshake(CONFIG, 0, A), [newer])
    assert "exchange.double_checks: 'absent' here, 5 at party b" in str(caught.value)
    assert "randomness: 'fresh' here, 'absent' at party b" in str(caught.value)


def test_same_rank() -> None:
    """Two parties started with the same RANK are told which one to change."""
    with pytest.raises(HandshakeError, match="same rank; start party b with RANK=1"):
        talk(handshake(CONFIG, 0, A), messages_of(0))


MALFORMED: dict[str, tuple[int, object, str]] = {
    "nothing": (0, None, "without 'rank'"),
    "a list": (0, [1, {}], "without 'rank'"),
    "a text": (0, "rank", "without 'rank'"),
    "no rank": (0, {"config": {}}, "without 'rank'"),
    "no configuration": (0, {"rank": 1}, "without 'config'"),
    "configuration is a number": (0, {"rank": 1, "config": 3}, "sent no configuration"),
    "configuration is empty": (0, {"rank": 1, "config": {}}, "configured differently"),
    "no architecture": (1, {"digest": "x"}, "without 'architecture'"),
    "architecture is nothing": (1, {"architecture": None}, "unusable architecture"),
    "architecture is code": (1, {"architecture": "__import__('os')"}, "unusable architecture"),
    "no operation": (1, {"architecture": {"input_shape": [1, 2, 2], "ops": []}}, "unusable architecture"),
    "huge weight": (1, {"architecture": make_architecture(hidden=2**40)}, "unusable architecture"),
    "a network that costs gigabytes": (
        1,
        {"architecture": make_architecture(hidden=2**24)},
        "are 1,191,183,040 elements, scheme.max_elements allows 67,108,864",
    ),
    "a key that clears the screen": (0, {"rank": 1, "config": {"\x1b[2J": 1}}, r"'\\x1b\[2J': 'absent' here, 1 at"),
    "other input shape": (
        1,
        {"architecture": make_architecture(input_shape=(1, 4, 1))},
        r"maps \(1, 4, 1\) to \(3,\), expected \(1, 2, 2\) to \(3,\)",
    ),
    "other classes": (
        1,
        {"architecture": make_architecture(num_classes=4)},
        r"maps \(1, 2, 2\) to \(4,\), expected \(1, 2, 2\) to \(3,\)",
    ),
    "output is no vector": (
        1,
        {"architecture": {"input_shape": [1, 2, 2], "ops": [{"kind": "relu", "name": "r", "inputs": [-1]}]}},
        r"maps \(1, 2, 2\) to \(1, 2, 2\)",
    ),
    "no digest": (2, {}, "without 'digest'"),
    "another digest": (2, {"digest": "0" * 64}, "another digest"),
    "digest is nothing": (2, {"digest": None}, "another digest"),
}


@pytest.mark.parametrize(("step", "message", "expected"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_messages(step: int, message: object, expected: str) -> None:
    """Whatever the peer says, this side ends with one line that names the peer, before any share is sent."""
    with pytest.raises(HandshakeError, match=expected) as caught:
        talk(handshake(CONFIG, 0, A), [*messages_of(1)[:step], message])
    assert "party b" in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_own_network_is_held_to_the_same_limit() -> None:
    """Said here and at once, not by the other side."""
    large = Architecture.from_json(make_architecture(hidden=2**24))
    with pytest.raises(ModelError, match=r"scheme\.max_elements allows 67,108,864"):
        talk(handshake(CONFIG, 0, large), messages_of(1))


def test_digest_covers_configuration_and_both_architectures() -> None:
    """Any change on either side changes the digest, also swapping the two networks."""
    digests = {
        agreement_digest(CONFIG, (A, B)),
        agreement_digest(CONFIG, (B, A)),
        agreement_digest(CONFIG, (A, A)),
        agreement_digest(CONFIG, (B, B)),
        agreement_digest(make_config(epochs=4), (A, B)),
    }
    assert len(digests) == 5
    assert agreement_digest(make_config(), (A, B)) in digests
