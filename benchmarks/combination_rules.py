"""Two ways to combine the answers of two networks, both fitted on the validation part of a party, on digits.

    python benchmarks/combination_rules.py --seeds 5

`logits` is the softmax of the weighted logits, `probabilities` the weighted average of both softmaxes; both networks
are calibrated before (training/trust.py), but for "as they are". Weights are fitted, drawn towards equal ones
(training/combination.py), or equal. Everything is in plaintext: a secure scheme gives the same logits up to
fixed point. Accuracies are on the test part, each class weighted as in the party's own data.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F

from smule_crypten.config.sections import DataConfig, ModelConfig, PartitionConfig, TrainingConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import DataBundle, LabelledImages
from smule_crypten.data.partition import split
from smule_crypten.models.zoo import build_model
from smule_crypten.training.combination import PRIOR_SAMPLES
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.training.trainer import Trainer
from smule_crypten.training.trust import judge

DATA = DataConfig(name="digits", mean=(0.3053,), std=(0.376,))
CPU = torch.device("cpu")
VALIDATION = 0.15
WEIGHTS = torch.linspace(0, 1, 21)
LogProbabilities = Callable[[float, torch.Tensor, torch.Tensor], torch.Tensor]
RULES: dict[str, LogProbabilities] = {
    "logits": lambda w, own, peer: (w * own + (1 - w) * peer).log_softmax(1),
    "probabilities": lambda w, own, peer: (w * own.softmax(1) + (1 - w) * peer.softmax(1)).clamp_min(1e-12).log(),
}


def trained(bundle: DataBundle, held: torch.Tensor, seed: int, epochs: int) -> tuple[torch.nn.Module, LabelledImages]:
    """A network, and the validation part that it has not seen."""
    held = held[torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))]
    num_validation = round(VALIDATION * len(held))
    train, validation = (
        bundle.train.select(part).normalized(DATA.mean, DATA.std)
        for part in (held[num_validation:], held[:num_validation])
    )
    model = build_model(ModelConfig(name="small_convnet"), bundle.input_shape, bundle.num_classes, seed)
    config = TrainingConfig(epochs=epochs, batch_size=32)
    trainer = Trainer(model=model, train=train, config=config, seed=seed, device=CPU)
    for _ in range(epochs):
        trainer.run_epoch()
    return model, validation


def measure(bundle: DataBundle, partition: str, seed: int, epochs: int) -> list[dict[str, float]]:
    """One row for each party."""
    held = split(bundle.train.labels_N, PartitionConfig.model_validate({"name": partition}), bundle.num_classes, seed)
    models, validations = zip(*(trained(bundle, held[r], 2 * seed + r, epochs) for r in (0, 1)), strict=True)
    test = bundle.test.normalized(DATA.mean, DATA.std)
    rows = []
    for rank, validation in enumerate(validations):
        own, peer = (predict_logits(models[r], validation.images_NCHW, 512, CPU) for r in (rank, 1 - rank))
        temperatures = [judge(logits, validation.labels_N).temperature for logits in (own, peer)]
        test_own, test_peer = (predict_logits(models[r], test.images_NCHW, 512, CPU) for r in (rank, 1 - rank))
        shares = bundle.train.select(held[rank]).class_counts(bundle.num_classes) / len(held[rank])
        row = {"own": weighted(test_own, test, shares), "peer": weighted(test_peer, test, shares)}
        for name, rule in RULES.items():
            row[f"{name}, as they are"] = weighted(rule(0.5, test_own, test_peer), test, shares)
        own, peer, test_own, test_peer = (
            logits / t for logits, t in zip((own, peer, test_own, test_peer), temperatures * 2, strict=True)
        )
        for name, rule in RULES.items():
            losses = [float(F.nll_loss(rule(float(w), own, peer), validation.labels_N)) for w in WEIGHTS]
            weight = float(WEIGHTS[torch.tensor(losses).argmin()])
            row[f"{name}, fitted"] = weighted(rule(weight, test_own, test_peer), test, shares)
            drawn = (len(validation) * weight + PRIOR_SAMPLES * 0.5) / (len(validation) + PRIOR_SAMPLES)
            row[f"{name}, drawn"] = weighted(rule(drawn, test_own, test_peer), test, shares)
            row[f"{name}, equal"] = weighted(rule(0.5, test_own, test_peer), test, shares)
        rows.append(row)
    return rows


def weighted(logits_NC: torch.Tensor, test: LabelledImages, shares_C: torch.Tensor) -> float:
    """Accuracy where classes occur with these shares."""
    right_N = (logits_NC.argmax(1) == test.labels_N).double()
    return float(sum(share * right_N[test.labels_N == label].mean() for label, share in enumerate(shares_C)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = load_data(DATA)
    for partition in ("iid", "dirichlet"):
        rows = [row for seed in range(arguments.seeds) for row in measure(bundle, partition, seed, arguments.epochs)]
        means = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
        print(partition, "  ".join(f"{key} {100 * value:.1f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
