from __future__ import annotations

import torch
from dictionary_peer import CONFIG, DictionarySource, MakeNetwork, make_trainer

from smule_crypten.config.sections import AugmentationConfig, TrainingConfig
from smule_crypten.data.samples import UNKNOWN, Samples


def test_pool_samples_are_augmented_and_keep_their_answers(blobs: Samples, make_network: MakeNetwork) -> None:
    """They are cropped and flipped like labelled ones, and join each batch with the answers to what they were."""
    pool = Samples(blobs.inputs + 100, torch.full((50,), UNKNOWN), blobs.sample_ids + 1000)
    source = DictionarySource({1100 + i: [0.0, 0.0, 1.0] for i in range(50)})
    config = CONFIG.model_copy(update={"augmentation": AugmentationConfig(crop=1, flip=True), "pool_batch": 16})
    trainer = make_trainer(make_network(), blobs, config=config, source=source, pool=pool)
    trainer.run_epoch()
    batch, size = trainer._beside_the_labelled()
    assert batch is not None
    images, logits, weights = batch
    assert (size, len(images), len(weights), logits.tolist()) == (16, 16, 16, [[0.0, 0.0, 1.0]] * 16)
    given = {tuple(image.flatten().tolist()) for image in pool.inputs}
    assert any(tuple(image.flatten().tolist()) not in given for image in images)


def test_answers_beside_the_labelled_samples_teach(blobs: Samples, make_network: MakeNetwork) -> None:
    """A party with labels of two classes only learns the third from a peer's answers on unlabelled samples."""
    labelled = blobs.select((blobs.targets < 2).nonzero().squeeze(1))
    pool = Samples(blobs.inputs, torch.full((50,), UNKNOWN), blobs.sample_ids + 1000)
    source = DictionarySource({1100 + i: [8.0 * (i % 3 == c) for c in range(3)] for i in range(50)})
    config = TrainingConfig(epochs=20, batch_size=16, trust="none", distillation_weight=1.0)
    accuracies = []
    for peer in (None, source):
        network = make_network()
        trainer = make_trainer(network, labelled, config=config, source=peer, pool=pool)
        for _ in range(20):
            trainer.run_epoch()
        third = blobs.select((blobs.targets == 2).nonzero().squeeze(1))
        network.eval()
        accuracies.append(float((network(third.inputs).argmax(1) == 2).float().mean()))
    alone, taught = accuracies
    assert alone == 0.0
    assert taught > 0.8
