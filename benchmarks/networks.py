"""What networks for photographs are worth by what their answers cost: accuracy per KB a query, and the Pareto front.

Each is trained on 20,000 images of CIFAR-10 for 12 epochs of the delivered settings for photographs. Bytes are exact,
from the architecture alone: both ways, the dealer's or the iterations of silent transfers included, 64 queries in a
micro-batch, weights spread over 200; what is sent once a run is apart. Networks of the zoo, and others by their layers
(network_variants.py). Trained networks are kept in --work.

    python benchmarks/networks.py --data cifar10-folder --work work --seeds 0,1,2 --plot networks.svg
    python benchmarks/networks.py --data cifar10-folder --work work --once 'c8:32s4p2 R c3:64 P R,c3:16 P B R'

Fails where the network that `model=auto` chooses for images is beaten: another one of the zoo costs no more with scheme
two_party and is more accurate by more than a point in the mean of its seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import yaml
from figures_file import write_figures
from network_variants import variant
from query_bytes import query_bytes
from trained_networks import CONF, INPUT_SHAPE, NUM_CLASSES, Images, load_cifar10, trained

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.files import write_atomic
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import AUTO, NETWORKS, build_model, named_network
from smule_crypten.report.svg import FONT_SIZE, INK, new_figure, to_svg_file

LABELS, QUERIES = 20_000, 64
ZOO = ("lenet", "linear_stem_convnet", "small_convnet", "wide_convnet")
TOLERANCE = 0.01
_COLORS = {True: "#0072b2", False: "#d55e00"}
"""Of networks of the zoo, and of others."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A network: ReLUs an image, KB a query with each scheme, accuracies by seed."""

    name: str
    relus: int
    two_party: float
    lean: float
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        return statistics.mean(self.accuracies)

    def is_beaten_by(self, other: Row) -> bool:
        """By no more bytes and no less accuracy, and not both the same."""
        mine, theirs = (self.two_party, -self.accuracy), (other.two_party, -other.accuracy)
        return mine != theirs and all(b <= a for a, b in zip(mine, theirs, strict=True))


def model_of(name: str) -> ModelConfig:
    return ModelConfig(name=name) if name in NETWORKS else variant(name)


def priced(name: str) -> Row:
    """Without accuracies."""
    network = build_model(model_of(name), INPUT_SHAPE, NUM_CLASSES, seed=0)
    architecture = translate(network, INPUT_SHAPE).architecture
    shapes = zip(architecture.ops, architecture.shapes, strict=True)
    kilobytes = {
        scheme: query_bytes(architecture, _scheme(scheme), QUERIES).all_in / 1e3 for scheme in ("two_party", "lean")
    }
    relus = sum(num_elements(shape) for op, shape in shapes if op.kind == "relu")
    return Row(name=name, relus=relus, accuracies=(), **kilobytes)


def _scheme(name: str) -> SchemeConfig:
    return SchemeConfig.model_validate(yaml.safe_load((CONF / "scheme" / f"{name}.yaml").read_text()))


def measured(row: Row, seeds: Sequence[int], epochs: int, images: Images, work: Path) -> Row:
    accuracies = tuple(trained(model_of(row.name), epochs, images, work, seed).test_accuracy for seed in seeds)
    print(f"{row.name}: {', '.join(f'{100 * found:.1f}' for found in accuracies)} %", flush=True)
    return replace(row, accuracies=accuracies)


def front(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not any(row.is_beaten_by(other) for other in rows)]


def as_markdown(rows: Sequence[Row]) -> str:
    """A table, cheapest first; * for what no other of them beats."""
    best = front(rows)
    lines = ["| network | ReLUs | KB, two_party | KB, lean | accuracy % | by seed |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row.two_party):
        by_seed = " ".join(f"{100 * found:.1f}" for found in row.accuracies)
        mark = " *" if row in best else ""
        cells = f"{row.name}{mark}", f"{row.relus:,}", f"{row.two_party:.1f}", f"{row.lean:.1f}"
        lines.append(f"| {' | '.join(cells)} | {100 * row.accuracy:.1f} | {by_seed} |")
    return "\n".join(lines)


def plotted(rows: Sequence[Row]) -> str:
    """Accuracy by KB a query with two_party; the front as a line, whiskers from the least accurate seed to the most."""
    figure, axes = new_figure(width=7.2, height=4.6)
    best = sorted(front(rows), key=lambda row: row.two_party)
    ends = min(row.two_party for row in rows) + max(row.two_party for row in rows)
    axes.plot([row.two_party for row in best], [100 * row.accuracy for row in best], color="#999999", linewidth=1)
    for row in rows:
        in_zoo, accuracy = row.name in NETWORKS, 100 * row.accuracy
        axes.vlines(
            row.two_party, 100 * min(row.accuracies), 100 * max(row.accuracies), color=_COLORS[in_zoo], linewidth=1
        )
        axes.plot(row.two_party, accuracy, marker="o" if in_zoo else "x", markersize=5, color=_COLORS[in_zoo])
        if in_zoo or row in best:
            # Towards the middle, where there is room.
            side = -1 if 2 * row.two_party > ends else 1
            axes.annotate(
                row.name,
                (row.two_party, accuracy),
                (6 * side, -10),
                textcoords="offset points",
                ha="right" if side < 0 else "left",
                color=INK,
                fontsize=FONT_SIZE - 2,
            )
    axes.set_xlabel("KB a query all in, scheme two_party")
    axes.set_ylabel("test accuracy (%)")
    return to_svg_file(figure)


def better_than_the_default(rows: Sequence[Row]) -> list[Row]:
    """Of the zoo, which cost no more and are more accurate by more than TOLERANCE."""
    name = named_network(ModelConfig(name=AUTO), INPUT_SHAPE).name
    default = next((row for row in rows if row.name == name), None)
    if default is None:
        return []
    others = [row for row in rows if row.name in NETWORKS and row.two_party <= default.two_party]
    return [row for row in others if row.accuracy > default.accuracy + TOLERANCE]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as folders train/ and test/ of images")
    parser.add_argument("--work", type=Path, required=True, help="folder for decoded images and trained networks")
    parser.add_argument("--networks", default=",".join(ZOO), help="of the zoo, or layers, with commas")
    parser.add_argument("--seeds", default="0", help="of weights and training, with commas (default 0)")
    parser.add_argument("--once", default="", help="as --networks, trained with the first seed alone")
    parser.add_argument("--epochs", type=int, default=12, help="of training (default 12)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (default 1)")
    parser.add_argument("--plot", type=Path, help="also draw accuracy by KB into this SVG file")
    parser.add_argument("--output", type=Path, help="also write all figures to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    everything = load_cifar10(arguments.data, arguments.work)
    order = torch.randperm(len(everything.train), generator=torch.Generator().manual_seed(0))
    images = Images(everything.train.select(order[:LABELS]), everything.test)
    work = arguments.work / f"{LABELS}_labels"
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    wanted = dict.fromkeys(filter(None, arguments.networks.split(",")), seeds)
    wanted |= dict.fromkeys(filter(None, arguments.once.split(",")), seeds[:1])
    rows = [measured(priced(name), of, arguments.epochs, images, work) for name, of in wanted.items()]
    print(as_markdown(rows))
    if arguments.plot is not None:
        text = plotted(rows)
        write_atomic(arguments.plot, lambda file: file.write(text.encode()))
    if arguments.output is not None:
        figures = {"seeds": seeds, "epochs": arguments.epochs, "rows": [asdict(row) for row in rows]}
        write_figures(arguments.output, "networks", arguments.threads, figures)
    beaten_by = better_than_the_default(rows)
    for row in beaten_by:
        print(f"{row.name} beats the network that model={AUTO} chooses")
    return 1 if beaten_by else 0


if __name__ == "__main__":
    sys.exit(main())
