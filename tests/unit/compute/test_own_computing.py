"""Reduced precision and compiled steps in one process."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from two_processes import CLASSES, Peer, convnet, learner

from smule_crypten.compute.compiled import compiled
from smule_crypten.compute.own_computing import own_computing
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.sections import TrainingConfig
from smule_crypten.errors import ConfigError
from smule_crypten.models.translate import translate
from smule_crypten.training.computing import Computing
from smule_crypten.training.learner import Learner

CPU = torch.device("cpu")


def _learner(**compute: Any) -> Learner:
    party = learner(convnet, trust="none", teacher="peer")
    return replace(party, computing=partial(own_computing, ComputeConfig(**compute), CPU))


def _trained(party: Learner, epochs: int = 3) -> tuple[nn.Module, Any]:
    network = party.network()
    trainer = party.taught_trainer(network, Peer(), None, lambda: None)
    for _ in range(epochs):
        trainer.run_epoch()
    return network, trainer


def _difference(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs)


def test_the_defaults_are_the_plain_way() -> None:
    """Nothing is wrapped, so that seeded results stay bit for bit what they were."""
    assert type(own_computing(ComputeConfig(), CPU)) is Computing


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_reduced_precision_trains_nearly_the_same(precision: str) -> None:
    """Steps differ by what the numbers round, no less and not much more; the weights stay float32, and the network can
    be translated for secure inference as ever."""
    plain, _ = _trained(_learner())
    network, _ = _trained(_learner(precision=precision))
    assert 0 < _difference(plain, network) < 0.05
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert translate(network.eval(), (1, 4, 4)).architecture.ops


def test_linear_layers_compute_in_bfloat16() -> None:
    """What a step of mixed precision computes, computed by hand with the operands rounded to bfloat16."""
    layer = nn.Linear(16, CLASSES, bias=False)
    inputs_NX = torch.randn(5, 16)
    outputs_NC = own_computing(ComputeConfig(precision="bf16-mixed"), CPU).forward(layer)(inputs_NX)
    rounded = (inputs_NX.bfloat16().double() @ layer.weight.bfloat16().double().T).float()
    assert outputs_NC.dtype == torch.float32
    torch.testing.assert_close(outputs_NC, rounded, rtol=2**-7, atol=2**-7)
    assert not torch.equal(outputs_NC, layer(inputs_NX))


def test_float16_goes_on_with_its_scale(tmp_path: Path) -> None:
    """By what losses are multiplied is part of the state: a training that was cut off ends with the same bits."""
    party = _learner(precision="16-mixed")
    expected, _ = _trained(party)
    _, first = _trained(party, epochs=1)
    state = first.state_dict()
    assert state["scaler"]["scale"] > 1
    torch.save(state, tmp_path / "state.pt")
    network = party.network()
    second = party.taught_trainer(network, Peer(), None, lambda: None)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        second.run_epoch()
    assert _difference(expected, network) == 0


def test_a_step_that_overflows_is_left_out() -> None:
    """Infinite gradients of float16 change no weight, and the scale is lowered."""
    computing = own_computing(ComputeConfig(precision="16-mixed"), CPU)
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    before, scale = layer.weight.detach().clone(), 65536.0
    computing.backward(computing.forward(layer)(torch.full((1, 1), 60000.0)).sum() * 1e36, optimizer)
    computing.step(optimizer)
    assert torch.equal(layer.weight, before)
    assert computing.state_dict()["scaler"]["scale"] < scale


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, of its compiler
def test_compiled_steps_train_the_same() -> None:
    """Compiling changes the order of operations, not what is learned; the network itself stays plain."""
    plain, _ = _trained(_learner())
    network, _ = _trained(_learner(compile=True))
    assert _difference(plain, network) < 1e-4
    assert list(network.state_dict()) == list(plain.state_dict())


class _Branching(nn.Module):
    """What it computes depends on the values, so that no compiler can take it as a whole."""

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        return inputs_NX if inputs_NX.sum().item() > 0 else -inputs_NX


def test_nothing_falls_back_from_compiling() -> None:
    """A network that can only be compiled in parts is refused, in one line."""
    with pytest.raises(
        ConfigError, match=r"^compute\.compile: the network cannot be compiled here \(.*; set compute"
    ) as caught:
        compiled(_Branching())(torch.ones(2, 3))
    assert "\n" not in str(caught.value)


def test_private_training_is_refused_with_less_precision() -> None:
    """By the configuration, before anything starts."""
    from smule_crypten.config.compute import refuse_together

    training = TrainingConfig.model_validate({"dp": {"target_epsilon": 8.0}})
    for compute in (ComputeConfig(precision="bf16-mixed"), ComputeConfig(compile=True)):
        with pytest.raises(ValueError, match=r"training\.dp: gradients of single samples are computed in float32"):
            refuse_together(compute, training, "cpu")
    with pytest.raises(ValueError, match=r"each of 2 processes takes a device of its own"):
        refuse_together(ComputeConfig(devices=2), TrainingConfig(), "cuda:1")
