"""Settings of scheme `lean`: what each costs in bytes, what it gets wrong, and how much noise hides its rounding.

Bytes are cost_of for 64 queries in each direction, weights included. Errors are those of centred logits on 2,000 test
images of CIFAR-10 on a trained reference network, by the ideal function of the scheme in the clear
(fixed_point/clear.py), without the noise; the noise is what the scheme adds for a disclosure limit of 10,000 answers.

    python benchmarks/lean_sweep.py --data cifar10-folder --work work --output sweep.json
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from figures_file import write_figures
from rich.console import Console
from rich.table import Table
from trained_networks import INPUT_SHAPE, load_cifar10, trained

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.errors import ConfigError, UnshareableModelError
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.types import centred

NUM_QUERIES, NUM_IMAGES, CALIBRATION_SAMPLES, MICRO_BATCH, NUM_ANSWERS = 64, 2000, 256, 64, 10_000
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Setting:
    ring_bits: int
    precision_bits: int
    input_bits: int
    block_bits: int

    @property
    def config(self) -> SchemeConfig:
        options = {name: value for name, value in asdict(self).items() if name != "precision_bits"}
        return SchemeConfig(name="lean", precision_bits=self.precision_bits, micro_batch=MICRO_BATCH, options=options)


DEFAULT = Setting(ring_bits=32, precision_bits=14, input_bits=10, block_bits=4)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Bytes a query between the parties and with the dealer's; rounds of an exchange in both directions.

    agreement: with the most likely class of plain PyTorch, without the noise and with it.
    """

    setting: Setting
    online: float
    all_in: float
    rounds: int
    largest_error: float
    mean_error: float
    agreement: float
    noise: float
    agreement_with_noise: float

    def is_beaten_by(self, other: Result) -> bool:
        mine, theirs = ((row.online, row.all_in, row.noise, row.largest_error) for row in (self, other))
        return theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True))


def settings(rings: list[int]) -> Iterator[Setting]:
    """Widths of a value, and of its products, that are neither hopeless nor more than is needed."""
    for ring, width in itertools.product(rings, range(15, 21)):
        yield Setting(ring_bits=ring, precision_bits=ring - width, input_bits=10, block_bits=4)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A trained network, images to evaluate it on, and its plain logits of them."""

    network: TranslatedNetwork
    inputs: torch.Tensor
    calibration_NX: torch.Tensor
    expected_NC: torch.Tensor

    def result_of(self, setting: Setting) -> Result | None:
        """None where the network does not fit."""
        try:
            noise = NoiseRule(num_answers=NUM_ANSWERS)
            answerer = LeanScheme.answerer_of(self.network, self.calibration_NX, setting.config, noise)
        except (ConfigError, UnshareableModelError):
            return None
        terms, generator = answerer.terms, torch.Generator().manual_seed(0)
        evaluator = ClearEvaluator(answerer.program, answerer.parameters, answerer.scales, generator, CPU)
        logits_NC = torch.cat([evaluator.logits(chunk) for chunk in torch.split(self.inputs, 500)])
        noise_NC = torch.randn(logits_NC.shape, generator=generator, dtype=torch.float64)
        errors_NC = (logits_NC - self.expected_NC).abs()
        cost = LeanScheme.cost_of(self.network.architecture, NUM_QUERIES, setting.config, dealt=True)
        online = (cost.model_owner.bytes_sent + cost.data_owner.bytes_sent) / NUM_QUERIES
        return Result(
            setting=setting,
            online=online,
            all_in=online + cost.model_owner.dealer_bytes / NUM_QUERIES,
            rounds=LeanScheme.combine(cost.data_owner, cost.model_owner).rounds,
            largest_error=float(errors_NC.max()),
            mean_error=float(errors_NC.mean()),
            agreement=self._agreement(logits_NC),
            noise=terms.logit_noise,
            agreement_with_noise=self._agreement(logits_NC + terms.logit_noise * noise_NC),
        )

    def _agreement(self, logits_NC: torch.Tensor) -> float:
        return float((logits_NC.argmax(1) == self.expected_NC.argmax(1)).double().mean())


def show(rows: list[Result], title: str) -> None:
    columns = "ring", "precision", "input", "block", "online", "all in", "rounds", "max error", "mean"
    table = Table(*columns, "agreement", f"noise, Q = {NUM_ANSWERS:,}", "agreement with it", title=title)
    for row in rows:
        table.add_row(
            *(str(value) for value in asdict(row.setting).values()),
            f"{row.online / 1e3:.1f}",
            f"{row.all_in / 1e3:.1f}",
            str(row.rounds),
            f"{row.largest_error:.4f}",
            f"{row.mean_error:.5f}",
            f"{100 * row.agreement:.2f} %",
            f"{row.noise:.3f}",
            f"{100 * row.agreement_with_noise:.2f} %",
        )
    Console(width=140).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as folders train/ and test/ of images")
    parser.add_argument("--work", type=Path, required=True, help="folder for decoded images and trained networks")
    parser.add_argument("--rings", default="26,27,28,29,30,32,34", help="ring_bits to try, with commas")
    parser.add_argument("--epochs", type=int, default=12, help="of training (default 12)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (default 1)")
    parser.add_argument("--output", type=Path, help="also write all figures to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(exist_ok=True)
    images = load_cifar10(arguments.data, arguments.work)
    subject = trained(ModelConfig(name="small_convnet"), arguments.epochs, images, arguments.work)
    print(f"test accuracy {subject.test_accuracy:.3f}, largest centred logit {subject.largest_logit:.2f}", flush=True)
    inputs_NX, calibration_NX = images.some_test(NUM_IMAGES), images.some_train(CALIBRATION_SAMPLES)
    with torch.no_grad():
        expected_NC = centred(subject.network(inputs_NX)).double()
    reference = Reference(
        network=translate(subject.network, INPUT_SHAPE),
        inputs=inputs_NX,
        calibration_NX=calibration_NX,
        expected_NC=expected_NC,
    )
    wanted = dict.fromkeys([DEFAULT, *settings([int(ring) for ring in arguments.rings.split(",")])])
    results = [row for setting in wanted if (row := reference.result_of(setting)) is not None]
    best = [row for row in results if not any(row.is_beaten_by(other) for other in results)]
    best.sort(key=lambda row: row.online)
    show(best, f"{len(results)} settings, those that no other beats; KB a query; errors on {NUM_IMAGES} images")
    show([row for row in results if row.setting == DEFAULT], "as delivered")
    if arguments.output is not None:
        figures = {
            "test_accuracy": subject.test_accuracy,
            "largest_logit": subject.largest_logit,
            "results": [asdict(row) for row in results],
            "front": [asdict(row) for row in best],
        }
        write_figures(arguments.output, "lean_sweep", arguments.threads, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
