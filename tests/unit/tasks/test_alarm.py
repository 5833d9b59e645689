from __future__ import annotations

import pytest
import torch

from smule_crypten.tasks.alarm import PeerWatch

CLASSES = 10


def answers(
    labels_N: torch.Tensor, accuracy: float, generator: torch.Generator, sharpness: float = 4.0
) -> torch.Tensor:
    """Logits of a peer that is right with this probability, and else names any class."""
    guess_N = torch.randint(CLASSES, labels_N.shape, generator=generator)
    right_N = torch.rand(len(labels_N), generator=generator) < accuracy
    return sharpness * torch.eye(CLASSES)[torch.where(right_N, labels_N, guess_N)]


def labels(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(CLASSES, (count,), generator=generator)


def test_honest_peers_raise_no_alarm() -> None:
    """100 runs of 8 exchanges: peers of all qualities, some getting better; the promise of 1 % leaves room for one."""
    alarmed = 0
    for run in range(100):
        generator = torch.Generator().manual_seed(run)
        watch = PeerWatch(CLASSES, num_exchanges=8)
        start, gain = 0.2 + 0.7 * run / 100, 0.02 * (run % 5 - 1)
        fired = False
        for exchange in range(1, 9):
            labels_N = labels(200, generator)
            logits_NC = answers(labels_N, min(1.0, start + gain * exchange), generator)
            fired |= bool(watch.check(exchange, logits_NC, labels_N))
        alarmed += fired
    assert alarmed <= 1


def test_a_peer_with_other_classes_raises_no_alarm() -> None:
    """Honest though always wrong: a peer that holds none of the own classes names its own, and is sure of it."""
    generator = torch.Generator().manual_seed(0)
    watch = PeerWatch(CLASSES, num_exchanges=4)
    for exchange in range(1, 5):
        labels_N = labels(200, generator) % 5
        assert watch.check(exchange, 9.0 * torch.eye(CLASSES)[labels_N + 5], labels_N) == []


def test_two_exchanged_classes_are_found_at_once() -> None:
    """A peer that is right about all other classes, from the first exchange; the evidence names both classes."""
    generator = torch.Generator().manual_seed(0)
    labels_N = labels(300, generator)
    lied = answers(labels_N, 0.8, generator)[:, [0, 7, 2, 3, 4, 5, 6, 1, 8, 9]]
    [alarm] = PeerWatch(CLASSES, num_exchanges=8).check(1, lied, labels_N)
    assert (alarm.exchange, alarm.test, alarm.suspects) == (1, "contradiction", (1,))
    assert alarm.evidence.startswith("of class 1, ")
    assert "were answered 7" in alarm.evidence
    assert alarm.p_value < alarm.limit < 0.01


def test_an_inverted_network_is_found_at_once() -> None:
    """The least likely class in front: right far less often than by chance."""
    generator = torch.Generator().manual_seed(0)
    labels_N = labels(200, generator)
    logits_NC = answers(labels_N, 0.8, generator) + torch.randn(200, CLASSES, generator=generator)
    alarms = PeerWatch(CLASSES, num_exchanges=8).check(1, -logits_NC, labels_N)
    assert [alarm.test for alarm in alarms] == ["recall", "chance"]


def test_half_confident_nonsense_is_found_within_two_exchanges() -> None:
    """As a last layer with random weights answers: all classes, right by chance, a confidence of a half."""
    generator = torch.Generator().manual_seed(0)
    watch = PeerWatch(CLASSES, num_exchanges=8)
    tests = []
    for exchange in (1, 2):
        labels_N = labels(200, generator)
        logits_NC = 2.2 * torch.eye(CLASSES)[labels(200, generator)]
        assert 0.4 < float(logits_NC.softmax(1).max(1).values.mean()) < 0.6
        tests += [alarm.test for alarm in watch.check(exchange, logits_NC, labels_N)]
    assert set(tests) == {"recall"}


@pytest.mark.parametrize("kind", ["constant", "random"])
def test_confident_nonsense_is_found_within_two_exchanges(kind: str) -> None:
    """Answers that tell nothing but are sure of themselves, 200 an exchange; all exchanges are suspect."""
    generator = torch.Generator().manual_seed(0)
    watch = PeerWatch(CLASSES, num_exchanges=8)
    alarms = []
    for exchange in (1, 2):
        labels_N = labels(200, generator)
        said_N = torch.full((200,), 3) if kind == "constant" else labels(200, generator)
        alarms += watch.check(exchange, 10.0 * torch.eye(CLASSES)[said_N], labels_N)
    assert alarms
    assert alarms[-1].test == "chance"
    assert alarms[-1].suspects in ((1,), (1, 2))


def test_a_turncoat_is_found_at_once_and_only_the_new_exchange_is_suspect() -> None:
    """Honest for two exchanges, then confident noise: the drop names the third exchange alone, and again the fourth."""
    generator = torch.Generator().manual_seed(0)
    watch = PeerWatch(CLASSES, num_exchanges=8)
    for exchange in (1, 2, 3, 4):
        labels_N = labels(200, generator)
        alarms = watch.check(exchange, answers(labels_N, 0.8 if exchange < 3 else 0.3, generator), labels_N)
        expected = [] if exchange < 3 else [("drop", (exchange,))]
        assert [(alarm.test, alarm.suspects) for alarm in alarms] == expected


def test_a_peer_that_knows_little_of_the_own_classes_raises_no_alarm() -> None:
    """Overconfident and nearly always wrong, but better than chance: an honest peer whose classes are rare here."""
    generator = torch.Generator().manual_seed(0)
    watch = PeerWatch(CLASSES, num_exchanges=8)
    for exchange in range(1, 9):
        # Ten of 200 samples are of classes 8 and 9, which are all that the peer has; it knows eight of these.
        labels_N = labels(200, generator) % 8
        labels_N[:5], labels_N[5:10] = 8, 9
        said_N = 8 + torch.arange(200) % 2
        said_N[:4], said_N[5:9] = 8, 9
        assert watch.check(exchange, 4.0 * torch.eye(CLASSES)[said_N], labels_N) == []


def test_a_peer_with_other_classes_that_finds_the_one_in_common_raises_no_alarm() -> None:
    """Nearly all answers wrong, no more right than by chance, and sure of it; but the rare common class is found."""
    generator = torch.Generator().manual_seed(0)
    watch = PeerWatch(CLASSES, num_exchanges=8)
    for exchange in range(1, 9):
        # The peer has classes 6, 8 and 9; three of 200 samples are of class 9, and a quarter is taken for it.
        labels_N = labels(200, generator) % 6
        labels_N[:3] = 9
        said_N = torch.tensor([6, 8, 8, 9])[torch.arange(200) % 4]
        said_N[:3] = 9
        assert watch.check(exchange, 5.0 * torch.eye(CLASSES)[said_N], labels_N) == []


def test_no_known_label_no_alarm() -> None:
    """An exchange about the unlabelled pool alone says nothing about the peer."""
    watch = PeerWatch(CLASSES, num_exchanges=2)
    for exchange in (1, 2):
        assert watch.check(exchange, torch.zeros(0, CLASSES), torch.zeros(0, dtype=torch.int64)) == []


def test_state_goes_on() -> None:
    """A run that was cut off remembers what it saw: the drop is found by a watch that was restored."""
    generator = torch.Generator().manual_seed(0)
    first, second = PeerWatch(CLASSES, num_exchanges=4), PeerWatch(CLASSES, num_exchanges=4)
    labels_N = labels(200, generator)
    first.check(1, answers(labels_N, 0.9, generator), labels_N)
    second.load_state_dict(first.state_dict())
    bad = answers(labels_N, 0.2, generator)
    assert [alarm.test for alarm in second.check(2, bad, labels_N)] == ["drop"]


@pytest.mark.parametrize("num_exchanges", [1, 2, 3, 8])
def test_the_promise_is_spent_once_half_of_it_early(num_exchanges: int) -> None:
    """Protects the bound of false alarms in a run: the limits of all exchanges add up to it, whatever their number."""
    generator = torch.Generator().manual_seed(0)
    watch, limits = PeerWatch(CLASSES, num_exchanges, false_alarm=0.01), []
    for exchange in range(1, num_exchanges + 1):
        labels_N = labels(200, generator)
        found = watch.check(exchange, -answers(labels_N, 0.9, generator), labels_N)
        limits += [alarm.limit for alarm in found if alarm.test == "recall"]
    tests = 5
    assert sum(limits) == pytest.approx(0.01 / tests)
    assert sum(limits[:2]) == pytest.approx(sum(limits) if num_exchanges <= 2 else 0.005 / tests)
