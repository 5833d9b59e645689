"""What the benchmarks of attacks train on, from their command lines."""

from __future__ import annotations

import argparse

from poisoning_simulation import Setting

from smule_crypten.config import DataConfig, ModelConfig, OptimizerConfig, PartitionConfig, TrainingConfig
from smule_crypten.exchange_config import ExchangeConfig

NORMALIZATION = {
    "digits": ((0.3053,), (0.376,)),
    "idx": ((0.2860,), (0.3530,)),
    "image_folder": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=list(NORMALIZATION), default="digits")
    parser.add_argument("--path", help="folder of the data set")
    parser.add_argument("--max-train", type=int, help="samples of both parties together")
    parser.add_argument("--max-test", type=int)
    parser.add_argument("--partition", default="iid", choices=["iid", "dirichlet"])
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--model", default="small_convnet")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--queries", type=int, default=200, help="samples a party and exchange")
    parser.add_argument("--every", type=int, default=1, help="epochs between exchanges")
    parser.add_argument(
        "--warmup", type=int, help="epochs before the first exchange; half of all where it is not given"
    )
    parser.add_argument("--distillation-weight", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--output", help="JSON file for the figures")


def setting_of(arguments: argparse.Namespace) -> Setting:
    mean, std = NORMALIZATION[arguments.data]
    return Setting(
        data=DataConfig(
            name=arguments.data,
            path=arguments.path,
            mean=mean,
            std=std,
            max_train=arguments.max_train,
            max_test=arguments.max_test,
        ),
        partition=PartitionConfig(name=arguments.partition, alpha=arguments.alpha),
        model=ModelConfig(name=arguments.model),
        training=TrainingConfig(
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            distillation_weight=arguments.distillation_weight,
            optimizer=OptimizerConfig(),
        ),
        exchange=ExchangeConfig(num_queries=arguments.queries, every=arguments.every, warmup_epochs=arguments.warmup),
    )
