from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from dictionary_peer import CONFIG, PLAIN_CONFIG, DictionarySource, MakeNetwork, make_trainer, same, trained, weights
from torch import nn
from torch.nn import functional as F

from smule_crypten.config.sections import OptimizerConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError, TrainingError


def test_repeats_bit_for_bit(blobs: Samples, make_network: MakeNetwork) -> None:
    """Order, augmentation and dropout follow from the seed, whatever was drawn elsewhere in between."""
    first = trained(make_network(), blobs)
    torch.rand(1)
    assert same(first, trained(make_network(), blobs))
    assert not same(first, trained(make_network(), blobs, seed=8))


def test_global_generator_is_left_alone(blobs: Samples, make_network: MakeNetwork) -> None:
    """Training draws nothing from the generator that the caller uses."""
    network, before = make_network(), torch.get_rng_state()
    trained(network, blobs)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_silent_source_changes_nothing(blobs: Samples, make_network: MakeNetwork) -> None:
    """Training alone is training with a peer that knows nothing."""
    assert same(trained(make_network(), blobs), trained(make_network(), blobs, source=DictionarySource({})))


def test_every_sample_is_asked_once_an_epoch_in_even_batches(blobs: Samples, make_network: MakeNetwork) -> None:
    """50 samples at batch size 16 are four batches of 12 or 13, in a new order each epoch, asked by sample id."""
    source = DictionarySource({})
    trainer = make_trainer(make_network(), blobs, source=source)
    trainer.run_epoch()
    assert trainer.model_step == 4
    assert sorted(len(ids) for ids in source.asked) == [12, 12, 13, 13]
    first_epoch = [key for ids in source.asked for key in ids]
    assert sorted(first_epoch) == list(range(100, 150))
    trainer.run_epoch()
    assert trainer.model_step == 8
    assert [key for ids in source.asked[4:] for key in ids] != first_epoch


def test_is_the_plain_loop_that_it_claims_to_be(blobs: Samples) -> None:
    """Weights and losses equal those of a loop written out by hand on the batches that the source saw."""
    network, twin = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    twin.load_state_dict(network.state_dict())
    peer_logits = {key: [float(key % 3), 0.0, 1.0] for key in range(100, 150, 2)}
    source = DictionarySource(peer_logits)
    result = make_trainer(network, blobs, config=PLAIN_CONFIG, source=source).run_epoch()

    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, weight_decay=5e-4)
    loss_sum = 0.0
    for step, ids in enumerate(source.asked):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * step / 8)) / 2
        index_B = torch.tensor(ids) - 100
        logits_BC = twin(blobs.inputs[index_B])
        even_M = [position for position, key in enumerate(ids) if key in peer_logits]
        peer_MC = F.softmax(torch.tensor([peer_logits[ids[position]] for position in even_M]) / 2.0, dim=1)
        divergence = (peer_MC * (peer_MC.log() - F.log_softmax(logits_BC[even_M] / 2.0, dim=1))).sum()
        loss = F.cross_entropy(logits_BC, blobs.targets[index_B]) + 4.0 * divergence / len(ids)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss_sum += float(loss.detach()) * len(ids)

    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert result.loss == pytest.approx(loss_sum / 50, rel=1e-5)
    assert result.soft_label_fraction == 0.5
    assert 0 < result.distillation_loss < result.loss


def test_learns_what_can_be_learned(blobs: Samples, make_network: MakeNetwork) -> None:
    """A separable problem is learned, and the result of each epoch says so."""
    config = TrainingConfig(epochs=15, batch_size=16)
    trainer = make_trainer(make_network(), blobs, config=config)
    results = [trainer.run_epoch() for _ in range(15)]
    assert [result.epoch for result in results] == list(range(1, 16))
    assert results[-1].train_accuracy > 0.9
    assert results[-1].loss < results[0].loss / 2
    assert all(result.seconds > 0 and result.soft_label_fraction == 0.0 for result in results)


def test_learns_from_the_peer_alone(blobs: Samples, make_network: MakeNetwork) -> None:
    """With labels that say nothing, a peer that knows the classes teaches them."""
    inputs_NX = blobs.inputs
    misled = Samples(inputs_NX, torch.arange(50) // 3 % 3, blobs.sample_ids)
    source = DictionarySource({100 + i: [8.0 * (i % 3 == c) for c in range(3)] for i in range(50)})
    config = TrainingConfig(trust="none", epochs=15, batch_size=16, distillation_weight=10.0)
    network = make_network()
    trainer = make_trainer(network, misled, config=config, source=source)
    for _ in range(15):
        trainer.run_epoch()
    with torch.no_grad():
        predicted_N = network.eval()(inputs_NX).argmax(dim=1)
    assert (predicted_N == blobs.targets).float().mean() > 0.9


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_resumes_bit_for_bit(blobs: Samples, make_network: MakeNetwork, name: str, schedule: str) -> None:
    """A run that was stored as a file and continued elsewhere ends with the weights of an undisturbed one."""
    optimizer = OptimizerConfig.model_validate({"name": name, "schedule": schedule, "learning_rate": 0.01})
    config = CONFIG.model_copy(update={"optimizer": optimizer})
    network = make_network()
    trainer = make_trainer(network, blobs, config=config)
    trainer.run_epoch()
    trainer.run_epoch()
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    undisturbed = [trainer.run_epoch(), trainer.run_epoch()]

    resumed_network = make_network()
    resumed = make_trainer(resumed_network, blobs, config=config, seed=99)
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert resumed.model_step == 8
    continued = [resumed.run_epoch(), resumed.run_epoch()]
    assert same(weights(network), weights(resumed_network))
    assert [(r.epoch, r.loss, r.train_accuracy) for r in continued] == [
        (r.epoch, r.loss, r.train_accuracy) for r in undisturbed
    ]


def test_a_state_is_a_snapshot(blobs: Samples, make_network: MakeNetwork) -> None:
    """Neither the trainer that gave a state nor one that took it changes it by training on."""
    network = make_network()
    trainer = make_trainer(network, blobs)
    trainer.run_epoch()
    state = trainer.state_dict()
    trainer.run_epoch()
    for _ in range(2):
        taker_network = make_network()
        taker = make_trainer(taker_network, blobs)
        taker.load_state_dict(state)
        taker.run_epoch()
        assert same(weights(network), weights(taker_network))


def test_trains_in_training_mode(blobs: Samples) -> None:
    """An evaluation before an epoch does not freeze dropout and batch normalization during it."""
    norm = nn.BatchNorm1d(16)
    network = nn.Sequential(nn.Flatten(), norm, nn.Linear(16, 3)).eval()
    make_trainer(network, blobs).run_epoch()
    assert int(norm.num_batches_tracked) == 4  # type: ignore[arg-type]


def test_dropout_differs_from_epoch_to_epoch(blobs: Samples) -> None:
    """Repeatable randomness is not the same masks again in each epoch."""
    dropout = nn.Dropout(0.5)
    kept = []
    dropout.register_forward_hook(lambda module, inputs, output: kept.append(output != 0))
    network = nn.Sequential(nn.Flatten(), dropout, nn.Linear(16, 3))
    trainer = make_trainer(network, blobs, config=TrainingConfig(epochs=2, batch_size=50))
    trainer.run_epoch()
    trainer.run_epoch()
    assert not torch.equal(kept[0], kept[1])


def test_gradients_are_clipped(blobs: Samples) -> None:
    """A step is no longer than learning rate times gradient_clip."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    before = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
    optimizer = OptimizerConfig(
        learning_rate=1.0, momentum=0.0, weight_decay=0.0, schedule="constant", gradient_clip=1e-3
    )
    make_trainer(network, blobs, config=TrainingConfig(epochs=1, batch_size=50, optimizer=optimizer)).run_epoch()
    moved = nn.utils.parameters_to_vector(network.parameters()).detach() - before
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-2)


def test_fewer_samples_than_a_batch_is_one_clear_line(blobs: Samples, make_network: MakeNetwork) -> None:
    """The message names the setting and both numbers."""
    with pytest.raises(
        DataError, match=r"^training.batch_size=64 is more than the 50 .+ lower training.batch_size, .+$"
    ):
        make_trainer(make_network(), blobs, config=TrainingConfig(batch_size=64))


def test_a_batch_of_all_samples_is_allowed(blobs: Samples, make_network: MakeNetwork) -> None:
    """As many samples as a batch are enough: one step an epoch."""
    trainer = make_trainer(make_network(), blobs, config=TrainingConfig(batch_size=50))
    trainer.run_epoch()
    assert trainer.model_step == 1


def test_inputs_that_are_not_normalized_are_one_clear_line(make_network: MakeNetwork) -> None:
    """uint8 inputs are refused with the call that is missing."""
    raw = Samples(torch.zeros(20, 1, 4, 4, dtype=torch.uint8), torch.zeros(20).long(), torch.arange(20))
    with pytest.raises(DataError, match=r"^training inputs are torch.uint8; pass train.normalized\(mean, std\)$"):
        make_trainer(make_network(), raw)


def test_divergence_names_epoch_step_and_remedy(blobs: Samples) -> None:
    """The first bad loss is found although losses are looked at once an epoch."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    trainer = make_trainer(network, blobs, config=PLAIN_CONFIG)
    trainer.run_epoch()
    calls = []

    def spoil_the_third_batch(module: nn.Module, inputs: Any, logits_BC: torch.Tensor) -> torch.Tensor | None:
        calls.append(1)
        return logits_BC * torch.nan if len(calls) == 3 else None

    network.register_forward_hook(spoil_the_third_batch)
    expected = r"^training diverged in epoch 2 after step 6: .+; lower training.optimizer.learning_rate \(now 0.1\)$"
    with pytest.raises(TrainingError, match=expected):
        trainer.run_epoch()


def test_weights_spoilt_by_the_last_step_are_found(blobs: Samples) -> None:
    """A run whose last loss is finite but whose weights are not does not pass as finished."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    optimizer = OptimizerConfig(learning_rate=1e38, weight_decay=1e5, schedule="constant", gradient_clip=None)
    config = TrainingConfig(epochs=1, batch_size=50, optimizer=optimizer)
    with pytest.raises(TrainingError, match=r"^training diverged in epoch 1 after step 1: "):
        make_trainer(network, blobs, config=config).run_epoch()


def test_more_epochs_than_configured_are_one_clear_line(blobs: Samples, make_network: MakeNetwork) -> None:
    """The learning-rate schedule ends with training.epochs; going on is refused."""
    trainer = make_trainer(make_network(), blobs, config=TrainingConfig(epochs=1, batch_size=16))
    trainer.run_epoch()
    with pytest.raises(TrainingError, match=r"^all 1 epochs are done; raise training.epochs .+$"):
        trainer.run_epoch()


def test_a_fixed_number_of_steps(blobs: Samples, make_network: MakeNetwork) -> None:
    """An epoch of more steps than a pass needs goes over the samples again, each pass over all of them."""
    source = DictionarySource({})
    config = TrainingConfig(epochs=1, batch_size=10, steps_per_epoch=10)
    trainer = make_trainer(make_network(), blobs, config=config, source=source)
    trainer.run_epoch()
    assert trainer.model_step == 10
    asked = [key for ids in source.asked for key in ids]
    assert sorted(asked[:50]) == sorted(asked[50:]) == list(range(100, 150))


def test_networks_with_channels_last_are_checked_too(blobs: Samples) -> None:
    """Weights that are not contiguous are no reason to fail at the end of an epoch."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    make_trainer(network.to(memory_format=torch.channels_last), blobs, config=PLAIN_CONFIG).run_epoch()
