"""Settings of scheme `lean`: what each costs in bytes, and what it gets wrong on a trained reference network.

Bytes are cost_of for 64 queries in each direction, weights included. Errors are those of centred logits on 1,000 test
images of CIFAR-10, the largest of --repeats evaluations, and come from an emulation in the clear that has exactly the
distribution of the protocol: integers, stochastic truncation, and comparisons that ignore the dropped bits. block_bits
changes bytes only. DEFAULTS are also evaluated with the protocol's own roles, streams and dealer (lean_in_process.py).

    python benchmarks/lean_sweep.py --data cifar10-folder --work work --output sweep.json
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from figures_file import write_figures
from lean_in_process import evaluate_lean
from rich.console import Console
from rich.table import Table
from torch import nn
from trained_networks import INPUT_SHAPE, load_cifar10, trained

from smule_crypten.config import ModelConfig, SchemeConfig
from smule_crypten.errors import ConfigError, UnshareableModelError
from smule_crypten.inference.lean.lowering import lower
from smule_crypten.inference.lean.products import multiply
from smule_crypten.inference.lean.program import Program
from smule_crypten.inference.lean.rounding import Remedies, compensated, remedies
from smule_crypten.inference.lean.scales import Scales, fit, integer_bias, integer_weight
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import translate
from smule_crypten.types import centred

NUM_QUERIES, NUM_IMAGES, CALIBRATION_SAMPLES, MICRO_BATCH = 64, 1000, 256, 64
AGREEMENT = 0.998


@dataclass(frozen=True, kw_only=True)
class Setting:
    ring_bits: int
    precision_bits: int
    input_bits: int
    dropped_bits: int
    block_bits: int
    margin_bits: int

    @property
    def config(self) -> SchemeConfig:
        options = {name: value for name, value in asdict(self).items() if name != "precision_bits"}
        return SchemeConfig(name="lean", precision_bits=self.precision_bits, micro_batch=MICRO_BATCH, options=options)

    def __str__(self) -> str:
        return "/".join(map(str, asdict(self).values()))


DEFAULTS = (
    Setting(ring_bits=32, precision_bits=14, input_bits=10, dropped_bits=4, block_bits=4, margin_bits=2),
    Setting(ring_bits=28, precision_bits=12, input_bits=9, dropped_bits=3, block_bits=4, margin_bits=2),
)


@dataclass(frozen=True, kw_only=True)
class Errors:
    """agreement: with the most likely class of plain PyTorch. Of several evaluations, the worst."""

    largest: float
    mean: float
    agreement: float

    @classmethod
    def of(cls, answers: list[torch.Tensor], expected_NC: torch.Tensor) -> Errors:
        differences = [(answer - expected_NC).abs() for answer in answers]
        hits = [answer.argmax(1) == expected_NC.argmax(1) for answer in answers]
        return cls(
            largest=max(float(difference.max()) for difference in differences),
            mean=max(float(difference.mean()) for difference in differences),
            agreement=min(float(hit.double().mean()) for hit in hits),
        )


@dataclass(frozen=True, kw_only=True)
class Result:
    setting: Setting
    online: float
    all_in: float
    rounds: int
    errors: Errors

    def is_beaten_by(self, other: Result) -> bool:
        mine, theirs = ((row.online, row.all_in, row.errors.largest, 1 - row.errors.agreement) for row in (self, other))
        return theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True))


def bytes_of(architecture: Architecture, setting: Setting) -> tuple[float, float, int]:
    """Bytes a query online and with the dealer's, and rounds of an exchange in both directions."""
    cost = LeanScheme.cost_of(architecture, NUM_QUERIES, setting.config, dealt=True)
    online = (cost.model_owner.bytes_sent + cost.data_owner.bytes_sent) / NUM_QUERIES
    rounds = LeanScheme.combine(cost.data_owner, cost.model_owner).rounds
    return online, online + cost.model_owner.dealer_bytes / NUM_QUERIES, rounds


def emulate(
    program: Program, parameters: Parameters, scales: Scales, inputs_NCHW: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Centred logits, as the protocol computes them, for networks of products, ReLUs and flattening.

    Shares are uniform, so v truncated is floor(v / 2^fraction + u) with u uniform, and a negative z passes a ReLU when
    it and the mask agree beyond the dropped bits: with probability 1 - |z| / 2^dropped, if that is positive.
    """
    values: list[torch.Tensor] = []
    for position, step in enumerate(program.steps):
        before = values[step.inputs[0]] if step.inputs else inputs_NCHW
        match step.kind:
            case "input":
                value = (before.double() * (1 << program.input_bits)).round()
            case "mask":
                value = before
            case "product":
                weight, bias = parameters[step.name]
                integers = integer_weight(step, weight, scales.scales[step.inputs[0]], scales.scales[position])
                value = multiply(step.weighted, before, integers.double(), step.pool)
                value = value if bias is None else value + integer_bias(step, bias, scales.scales[position])
            case "relu":
                unit = torch.rand(before.shape, generator=generator, dtype=torch.float64)
                z = torch.floor(before / 2.0 ** program.steps[step.inputs[0]].fraction + unit)
                chance = torch.rand(before.shape, generator=generator, dtype=torch.float64)
                value = torch.where(z > -chance * (1 << step.openings[0].dropped), z, 0.0)
            case "flatten":
                value = before.reshape(len(before), *step.shape)
            case other:
                raise ValueError(f"the emulation knows no step {other!r}")
        values.append(value)
    return centred(values[-1] / 2.0**scales.output).float()


def settings(rings: list[int]) -> Iterator[Setting]:
    """Widths of a value, and of what a comparison looks at, that are neither hopeless nor more than is needed."""
    for ring, width, compared in itertools.product(rings, (13, 14, 15, 16, 18), (10, 12, 14)):
        if compared < width:
            yield Setting(
                ring_bits=ring,
                precision_bits=ring - width,
                input_bits=9 if ring < 30 else 10,
                dropped_bits=width - 1 - compared,
                block_bits=4,
                margin_bits=2,
            )


def around(setting: Setting) -> Iterator[Setting]:
    """One option at a time."""
    others = {
        "precision_bits": range(setting.precision_bits - 3, setting.precision_bits + 3),
        "input_bits": (6, 7, 8, 9, 10, 12, 14),
        "dropped_bits": range(9),
        "block_bits": range(1, 6),
        "margin_bits": (2, 3, 4),
    }
    for name, values in others.items():
        for value in values:
            changed = replace(setting, **{name: value})
            if changed.ring_bits - changed.precision_bits - 2 > changed.dropped_bits:
                yield changed


class Emulator:
    """A network, and images to evaluate it on."""

    def __init__(self, network: nn.Module, inputs_NCHW: torch.Tensor, calibration_NCHW: torch.Tensor) -> None:
        translated = translate(network, INPUT_SHAPE)
        self.architecture, self._parameters = translated.architecture, translated.parameters
        self._inputs_NCHW = inputs_NCHW
        self._calibration_NCHW = calibration_NCHW
        self._remedies: Remedies | None = None

    def answers(self, setting: Setting, repeats: int) -> list[torch.Tensor]:
        """Of several evaluations; none where the network does not fit."""
        generator = torch.Generator().manual_seed(0)
        try:
            program = lower(self.architecture, setting.config)
            scales = fit(program, self._parameters, self._calibration_NCHW, setting.margin_bits)
            if self._remedies is None:
                self._remedies = remedies(program, self._parameters, self._calibration_NCHW)
            rounded = compensated(program, self._parameters, scales, self._remedies)
            return [emulate(program, rounded, scales, self._inputs_NCHW, generator) for _ in range(repeats)]
        except (ConfigError, UnshareableModelError):
            return []


def front(results: list[Result]) -> list[Result]:
    """What no other setting beats in bytes online, bytes in all, largest error and agreement."""
    best = [row for row in results if not any(row.is_beaten_by(other) for other in results)]
    return sorted(best, key=lambda row: row.online)


def with_blocks(row: Result, architecture: Architecture) -> Iterator[Result]:
    """With every width of a block, which changes no answer."""
    for bits in range(1, 6):
        setting = replace(row.setting, block_bits=bits)
        online, all_in, rounds = bytes_of(architecture, setting)
        yield replace(row, setting=setting, online=online, all_in=all_in, rounds=rounds)


def show(rows: list[Result], title: str) -> None:
    names = "ring", "precision", "input", "dropped", "block", "margin", "online", "all in", "rounds"
    table = Table(*names, "max error", "mean", "agreement", title=title)
    for row in rows:
        table.add_row(
            *(str(value) for value in asdict(row.setting).values()),
            f"{row.online / 1e3:.1f}",
            f"{row.all_in / 1e3:.1f}",
            str(row.rounds),
            f"{row.errors.largest:.4f}",
            f"{row.errors.mean:.5f}",
            f"{100 * row.errors.agreement:.1f} %",
        )
    Console(width=120).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as folders train/ and test/ of images")
    parser.add_argument("--work", type=Path, required=True, help="folder for decoded images and trained networks")
    parser.add_argument("--rings", default="22,24,26,27,28,30,32", help="ring_bits to try, with commas")
    parser.add_argument("--epochs", type=int, default=12, help="of training (default 12)")
    parser.add_argument("--repeats", type=int, default=1, help="evaluations of a setting (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (default 1)")
    parser.add_argument("--output", type=Path, help="also write all figures to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(exist_ok=True)
    images = load_cifar10(arguments.data, arguments.work)
    subject = trained(ModelConfig(name="small_convnet"), arguments.epochs, images, arguments.work)
    print(f"test accuracy {subject.test_accuracy:.3f}, largest centred logit {subject.largest_logit:.2f}", flush=True)
    inputs_NCHW = images.some_test(NUM_IMAGES)
    calibration_NCHW = images.some_train(CALIBRATION_SAMPLES)
    with torch.no_grad():
        expected_NC = centred(subject.network(inputs_NCHW))
    emulator = Emulator(subject.network, inputs_NCHW, calibration_NCHW)

    def result_of(setting: Setting, repeats: int) -> Result | None:
        answers = emulator.answers(setting, repeats)
        if not answers:
            return None
        online, all_in, rounds = bytes_of(emulator.architecture, setting)
        errors = Errors.of(answers, expected_NC)
        return Result(setting=setting, online=online, all_in=all_in, rounds=rounds, errors=errors)

    rings = [int(ring) for ring in arguments.rings.split(",")]
    wanted = list(dict.fromkeys([*settings(rings), *(near for centre in DEFAULTS for near in around(centre))]))
    results = [row for setting in wanted if (row := result_of(setting, arguments.repeats)) is not None]
    best = front(
        [
            variant
            for row in results
            if row.setting.block_bits == 4
            for variant in with_blocks(row, emulator.architecture)
        ]
    )
    show(best, f"{len(results)} settings, those that no other beats; KB a query; errors on {NUM_IMAGES} images")
    own = {}
    for centre in DEFAULTS:
        show([row for row in results if row.setting in set(around(centre))], f"around {centre}")
        answers = evaluate_lean(subject.network, inputs_NCHW, calibration_NCHW, centre.config)
        own[str(centre)] = asdict(Errors.of([answers], expected_NC))
        print(f"{centre} by the protocol itself: {own[str(centre)]}")
    if arguments.output is not None:
        figures = {
            "test_accuracy": subject.test_accuracy,
            "largest_logit": subject.largest_logit,
            "results": [asdict(row) for row in results],
            "front": [asdict(row) for row in best],
            "protocol": own,
        }
        write_figures(arguments.output, "lean_sweep", arguments.threads, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
