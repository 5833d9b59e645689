"""What the benchmarks of attacks train on: the delivered settings, and what their command lines change of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml
from poisoning_simulation import Setting
from trained_networks import CONF

from smule_crypten.config import DataConfig, ModelConfig, PartitionConfig, TrainingConfig
from smule_crypten.exchange_config import ExchangeConfig
from smule_crypten.party_config import SamplesConfig

DATA = ("digits", "idx", "image_folder")


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--path", help="folder of the data set")
    parser.add_argument("--max-train", type=int, help="samples of both parties together")
    parser.add_argument("--max-test", type=int)
    parser.add_argument("--partition", default="iid", choices=["iid", "dirichlet"])
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--model", default="small_convnet")
    parser.add_argument(
        "--training", choices=["default", "images"], help="of conf/training; images but for digits where not given"
    )
    parser.add_argument("--epochs", type=int, help="as delivered where not given")
    parser.add_argument("--queries", type=int, help="samples a party and exchange; as delivered where not given")
    parser.add_argument("--every", type=int, help="epochs between exchanges; as delivered where not given")
    parser.add_argument("--bfloat16", action="store_true", help="train with bfloat16 products, faster on some CPUs")
    parser.add_argument("--only-honest", action="store_true", help="party b does not train on after it trained alone")
    parser.add_argument("--work", type=Path, help="folder for finished cases, which the next call skips")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--output", help="JSON file for the figures")


def setting_of(arguments: argparse.Namespace) -> Setting:
    data = _delivered("data", arguments.data)
    training = _delivered("training", "default")
    if (arguments.training or ("default" if arguments.data == "digits" else "images")) == "images":
        training |= _delivered("training", "images")
    asked = {"num_queries": arguments.queries, "every": arguments.every}
    return Setting(
        data=DataConfig.model_validate(
            data | {"path": arguments.path, "max_train": arguments.max_train, "max_test": arguments.max_test}
        ),
        partition=PartitionConfig(name=arguments.partition, alpha=arguments.alpha),
        model=ModelConfig(name=arguments.model),
        training=TrainingConfig.model_validate(training | _given({"epochs": arguments.epochs})),
        exchange=ExchangeConfig.model_validate(_delivered("exchange", "default") | _given(asked)),
        validation=SamplesConfig().validation,
        bfloat16=arguments.bfloat16,
        only_honest=arguments.only_honest,
        kept=arguments.work,
    )


def _delivered(group: str, name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return {key: value for key, value in values.items() if key != "defaults"}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
