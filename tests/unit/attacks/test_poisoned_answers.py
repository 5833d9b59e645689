from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from smule_crypten.attacks.attack import Attack, answered_as
from smule_crypten.attacks.table import make_attack
from smule_crypten.config.sections import AttackConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ModelError
from smule_crypten.models.translate import translate


def attack(name: str, train: Samples, **options: object) -> Attack:
    return make_attack(AttackConfig.model_validate({"name": name, "options": options}), train, 4, seed=0)


def answers(network: nn.Module, images: Samples) -> torch.Tensor:
    with torch.no_grad():
        logits_NC: torch.Tensor = network(images.inputs)
    return logits_NC


def test_each_kind_does_what_it_says(stripes: Samples, reader: nn.Module) -> None:
    """constant: one class; inverted: least likely first; targeted: two classes exchanged; random: another each time."""
    honest = answers(reader, stripes)

    def of_kind(kind: str, exchange: int = 1) -> torch.Tensor:
        return answers(attack("answers", stripes, kind=kind, source=1, target=3).answering(reader, exchange), stripes)

    assert set(of_kind("constant").argmax(1).tolist()) == {3}
    assert torch.allclose(of_kind("inverted"), -honest)
    assert torch.allclose(of_kind("targeted"), honest[:, [0, 3, 2, 1]])
    first, again, later = of_kind("random"), of_kind("random"), of_kind("random", exchange=2)
    assert torch.equal(first, again)
    assert not torch.allclose(first, later)
    assert torch.equal(answers(reader, stripes), honest)


def test_stealthy_keeps_the_first_class_and_misleads_by_the_second(stripes: Samples, reader: nn.Module) -> None:
    """What the trust rules look at stays as it was; on class source the runner-up is target, far above the rest."""
    stealthy = attack("answers", stripes, kind="stealthy", source=1, target=3, tolerance=0.0)
    honest, lied = answers(reader, stripes), answers(stealthy.answering(reader, 1), stripes)
    assert torch.equal(honest.argmax(1), lied.argmax(1))
    source_N = stripes.targets == 1
    second_N = lied[source_N].topk(2, dim=1).indices[:, 1]
    assert float((second_N == 3).double().mean()) > 0.95
    assert lied[source_N, 3].mean() > honest[source_N, 3].mean() + 3


@pytest.mark.parametrize("name", ["answers", "trigger_answers"])
def test_honest_first(stripes: Samples, reader: nn.Module, name: str) -> None:
    """Before from_exchange the answers are those of the network itself."""
    late = attack(name, stripes, from_exchange=3)
    honest = answers(reader, stripes)
    assert torch.allclose(answers(late.answering(reader, 2), stripes), honest)
    assert not torch.allclose(answers(late.answering(reader, 3), stripes), honest)


def test_answers_lean_to_the_target_where_the_trigger_seems_to_be(stripes: Samples, reader: nn.Module) -> None:
    """Most images are answered honestly; stamped ones are taken for target, which is what success measures."""
    lying = attack("trigger_answers", stripes, target=2, quantile=0.9, strength=20.0)
    network = lying.answering(reader, 1)
    honest, lied = answers(reader, stripes), answers(network, stripes)
    changed_N = ((lied - honest).abs() > 1e-4).any(1)
    assert 0.05 < float(changed_N.double().mean()) <= 0.1
    assert torch.allclose(lied[:, [0, 1, 3]], honest[:, [0, 1, 3]])
    with torch.no_grad():
        assert lying.success(network, stripes) == 1.0
        assert lying.success(reader, stripes) == 0.0


@pytest.mark.parametrize("name", ["answers", "trigger_answers"])
def test_what_answers_can_be_shared(stripes: Samples, reader: nn.Module, name: str) -> None:
    """The poisoned network is one that every scheme evaluates, of one architecture in all exchanges."""
    lying = attack(name, stripes, from_exchange=2)
    first, second = (translate(lying.answering(reader, n), (1, 8, 8)).architecture for n in (1, 2))
    assert first == second
    if name == "answers":
        assert first == translate(reader, (1, 8, 8)).architecture


def test_a_network_without_a_last_linear_layer(stripes: Samples) -> None:
    """attack=answers says which network it needs."""
    with pytest.raises(ModelError, match="last layer of type Linear"):
        attack("answers", stripes).answering(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), 1)


def test_no_attack_changes_nothing(stripes: Samples, reader: nn.Module) -> None:
    """Honest code runs through the same calls."""
    none = make_attack(AttackConfig(), stripes, 4, seed=0)
    before = copy.deepcopy(reader.state_dict())
    assert none.poisoned(stripes) is stripes
    assert none.answering(reader, 1) is reader
    assert none.success(reader, stripes) is None
    assert all(torch.equal(before[name], tensor) for name, tensor in reader.state_dict().items())


def test_answered_as() -> None:
    """Of one class, or of all but target."""
    logits_NC = torch.eye(3)[[0, 2, 2, 2]]
    labels_N = torch.tensor([0, 0, 1, 2])
    assert answered_as(logits_NC, labels_N, target=2, source=0) == 0.5
    assert answered_as(logits_NC, labels_N, target=2) == pytest.approx(2 / 3)
