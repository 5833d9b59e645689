"""Training draws among the copies of a sample; queries and tests take the sample as it is."""

from __future__ import annotations

import pytest
import torch
from dictionary_peer import CONFIG, DictionarySource, make_trainer
from torch import nn

from smule_crypten.config.sections import AugmentationConfig
from smule_crypten.data.samples import UNKNOWN, Samples
from smule_crypten.training.augmentation import drawn

COUNT, COPIES = 64, 4
CROP = AugmentationConfig(crop=1, flip=True)


class Noting(nn.Module):
    """A linear network that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.given: list[list[float]] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.given += inputs.tolist()
        logits: torch.Tensor = self.linear(inputs)
        return logits


def samples(offset: int = 0) -> Samples:
    """Copy k of sample n is (n, k); the first is the sample itself."""
    numbers = torch.arange(offset, offset + COUNT)
    copies = torch.stack([torch.stack([numbers, torch.full((COUNT,), k)], dim=1) for k in range(COPIES)], dim=1)
    return Samples(copies[:, 0].float() / 100, numbers % 3, numbers, copies.float() / 100)


def test_each_sample_gives_one_of_its_copies() -> None:
    """All of them in turn; without copies images are cropped as before."""
    held, generator = samples(), torch.Generator().manual_seed(0)
    positions = torch.tensor([5, 3, 60])
    seen = set()
    for _ in range(40):
        found = (drawn(held.inputs, held.copies, positions, CROP, generator) * 100).round().int()
        assert found[:, 0].tolist() == positions.tolist()
        seen |= set(found[:, 1].tolist())
    assert seen == set(range(COPIES))
    assert torch.equal(drawn(held.inputs, None, positions, AugmentationConfig(), generator), held.inputs[positions])


def test_an_epoch_trains_on_copies_of_every_sample() -> None:
    """Once each, crop and flip notwithstanding, which came before the map; the next epoch draws others."""
    network = Noting()
    trainer = make_trainer(network, samples(), config=CONFIG)
    epochs = []
    for _ in range(2):
        network.given.clear()
        trainer.run_epoch()
        epochs.append(sorted((round(100 * n), round(100 * k)) for n, k in network.given))
    for found in epochs:
        assert [n for n, _ in found] == list(range(COUNT))
    assert epochs[0] != epochs[1]


def test_the_pool_gives_copies_too() -> None:
    """With the soft labels of their sample."""
    pool = samples(1000).without_labels()
    source = DictionarySource({number: [float(number), 0.0, 0.0] for number in range(1000, 1000 + COUNT)})
    config = CONFIG.model_copy(update={"pool_batch": 32})
    trainer = make_trainer(nn.Linear(2, 3), samples(), config=config, source=source, pool=pool)
    trainer.run_epoch()
    batch, _ = trainer._beside_the_labelled()
    assert batch is not None
    inputs, logits, _ = batch
    assert (100 * inputs[:, 0]).round().tolist() == logits[:, 0].tolist()
    assert len(set((100 * inputs[:, 1]).round().tolist())) > 1


def test_copies_go_where_their_samples_go() -> None:
    """Through a selection, a union and the loss of labels; not along with samples that have none."""
    held = samples()
    chosen = held.select(torch.tensor([7, 2])).without_labels()
    assert chosen.copies is not None
    assert chosen.targets.tolist() == [UNKNOWN, UNKNOWN]
    assert (chosen.copies[:, :, 0] * 100).round().tolist() == [[7.0] * COPIES, [2.0] * COPIES]
    both = held.with_others(samples(1000))
    assert both.copies is not None
    assert both.copies.shape == (2 * COUNT, COPIES, 2)
    assert held.with_others(samples(1000).without_copies()).copies is None
    assert held.without_copies().copies is None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_draw_follows_from_the_seed(seed: int) -> None:
    held, positions = samples(), torch.arange(COUNT)
    first, second = (
        drawn(held.inputs, held.copies, positions, CROP, torch.Generator().manual_seed(seed)) for _ in range(2)
    )
    assert torch.equal(first, second)
