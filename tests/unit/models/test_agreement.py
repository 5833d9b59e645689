"""The translated network is what the user's network computes, or the network is refused by name and cause."""

from __future__ import annotations

import pytest
import torch
from odd_networks import DIFFERENT, SAME, SHAPE, HookWithGain, plain
from torch import nn

from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import UnshareableModelError
from smule_crypten.models.agreement import check_agreement, check_answers, translate_checked
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import NETWORKS, build_model

pytestmark = [
    pytest.mark.usefixtures("repeatable"),
    pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning"),
]


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_torch_fx_does_not_see_is_refused(case: str) -> None:
    """Without a comparison each of these gives wrong logits, and nobody is told."""
    build, name, cause = DIFFERENT[case]
    with pytest.raises(UnshareableModelError) as caught:
        translate_checked(build(), SHAPE, torch.randn(9, *SHAPE))
    assert caught.value.module == name
    assert cause in caught.value.reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", SAME)
def test_what_is_the_same_passes(case: str) -> None:
    """The comparison refuses no network that can be evaluated, and its logits are those of the network."""
    model = SAME[case]().eval()
    network = translate_checked(model, SHAPE, torch.randn(9, *SHAPE))
    inputs_NX = torch.randn(3, *SHAPE)
    wanted = model(inputs_NX).detach().double()
    found = network.values(inputs_NX.double())[-1]
    tolerance = 0.2 if case == "rounding in float32" else 1e-5
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"torchvision", "resnet20"}))
def test_networks_of_the_zoo_pass(name: str) -> None:
    """None of ours is refused, with samples far from zero, too, and with few of them."""
    shape = (1, 8) if name == "convnet1d" else (1, 8, 8)
    model = build_model(ModelConfig(name=name), shape, 4, seed=0)
    for samples in (None, torch.zeros(0, *shape), 1000 + torch.randn(6, *shape)):
        translate_checked(model, shape, samples)


def test_the_network_is_left_as_it_is() -> None:
    """Modes, weights and statistics of the user's network are the same after the comparison."""
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(32, 3))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    translate_checked(model, SHAPE)
    assert [module.training for module in model] == [True, False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_that_change_after_the_start() -> None:
    """A difference that training makes is found before the next answers, and named."""
    model = HookWithGain()
    check_answers(model, translate(model, SHAPE))
    nn.init.constant_(model.gain, 1.5)
    with pytest.raises(UnshareableModelError, match=r"^body.3 \(Linear\) .*a hook"):
        check_answers(model, translate(model, SHAPE))


def test_a_translation_of_other_weights_is_noticed() -> None:
    """What is compared is the translation that was given, not a fresh one."""
    model, other = plain(), plain()
    check_agreement(model, translate(model, SHAPE))
    with pytest.raises(UnshareableModelError, match="the network Sequential"):
        check_agreement(model, translate(other, SHAPE))
