from __future__ import annotations

from typing import Any

import pytest
import torch
from dictionary_peer import CONFIG, DictionarySource, MakeNetwork, make_trainer

from smule_crypten.config.sections import AugmentationConfig, TrainingConfig
from smule_crypten.data.images import UNKNOWN, LabelledImages
from smule_crypten.types import AnsweredImages


class AllViews:
    """Answers about images that are no samples."""

    def __init__(self, images_MCHW: torch.Tensor, classes_M: torch.Tensor) -> None:
        steps = torch.zeros(len(images_MCHW), dtype=torch.int64)
        logits = 8.0 * torch.eye(3)[classes_M]
        self._answered = AnsweredImages(images_MCHW=images_MCHW, logits_MC=logits, model_step_M=steps)

    def answered(self) -> AnsweredImages:
        return self._answered


def test_views_stay_what_the_peer_was_asked_about(blobs: LabelledImages, make_network: MakeNetwork) -> None:
    """Samples of the pool are cropped and flipped, views are not: else the answer would be to another image."""
    pool = LabelledImages(blobs.images_NCHW + 100, torch.full((50,), UNKNOWN), blobs.sample_ids_N + 1000)
    source = DictionarySource({1100 + i: [0.0, 0.0, 1.0] for i in range(50)})
    config = CONFIG.model_copy(update={"augmentation": AugmentationConfig(crop=1, flip=True), "pool_batch": 16})
    views = AllViews(blobs.images_NCHW, blobs.labels_N)
    trainer = make_trainer(make_network(), blobs, config=config, source=source, pool=pool, views=views)
    trainer.run_epoch()
    batch = trainer._beside_the_labelled()
    assert batch is not None
    images, logits, weights = batch
    assert (len(images), len(logits), len(weights)) == (32, 32, 32)
    given = {
        tuple(image.flatten().tolist()): int(label)
        for image, label in zip(blobs.images_NCHW, blobs.labels_N, strict=True)
    }
    found = [given.get(tuple(image.flatten().tolist())) for image in images]
    assert found[:16] == [None] * 16
    assert found[16:] == logits[16:].argmax(1).tolist()


@pytest.mark.parametrize("through", ["pool", "views"])
def test_answers_beside_the_labelled_samples_teach(
    blobs: LabelledImages, make_network: MakeNetwork, through: str
) -> None:
    """A party with labels of two classes only learns the third from a peer's answers on unlabelled samples or views."""
    labelled = blobs.select((blobs.labels_N < 2).nonzero().squeeze(1))
    pool = LabelledImages(blobs.images_NCHW, torch.full((50,), UNKNOWN), blobs.sample_ids_N + 1000)
    source = DictionarySource({1100 + i: [8.0 * (i % 3 == c) for c in range(3)] for i in range(50)})
    config = TrainingConfig(epochs=20, batch_size=16, trust="none", distillation_weight=1.0)
    beside: dict[str, Any] = {"pool": pool}
    if through == "views":
        beside, source = {"views": AllViews(blobs.images_NCHW, blobs.labels_N)}, DictionarySource({})
    accuracies = []
    for peer in (None, source):
        network = make_network()
        trainer = make_trainer(network, labelled, config=config, source=peer, **beside)
        for _ in range(20):
            trainer.run_epoch()
        third = blobs.select((blobs.labels_N == 2).nonzero().squeeze(1))
        network.eval()
        accuracies.append(float((network(third.images_NCHW).argmax(1) == 2).float().mean()))
    alone, taught = accuracies
    assert alone == 0.0
    assert taught > 0.8
