from __future__ import annotations

import torch
from dictionary_peer import DictionarySource, MakeNetwork, make_trainer

from smule_crypten.config import TrainingConfig
from smule_crypten.data.images import UNKNOWN, LabelledImages


def test_answers_beside_the_labelled_samples_teach(blobs: LabelledImages, make_network: MakeNetwork) -> None:
    """A party with labels of two classes only learns the third from a peer's answers on unlabelled samples."""
    labelled = blobs.select((blobs.labels_N < 2).nonzero().squeeze(1))
    pool = LabelledImages(blobs.images_NCHW, torch.full((50,), UNKNOWN), blobs.sample_ids_N + 1000)
    source = DictionarySource({1100 + i: [8.0 * (i % 3 == c) for c in range(3)] for i in range(50)})
    config = TrainingConfig(epochs=20, batch_size=16, trust="none", distillation_weight=1.0)
    accuracies = []
    for peer in (None, source):
        network = make_network()
        trainer = make_trainer(network, labelled, config=config, source=peer, pool=pool)
        for _ in range(20):
            trainer.run_epoch()
        third = blobs.select((blobs.labels_N == 2).nonzero().squeeze(1))
        network.eval()
        accuracies.append(float((network(third.images_NCHW).argmax(1) == 2).float().mean()))
    alone, taught = accuracies
    assert alone == 0.0
    assert taught > 0.8
