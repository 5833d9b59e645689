"""What a party gains by its peer's answers, beside everything it could do alone, for each setting of learning_settings.

Training is real; the exchange is simulated in the clear (learning_simulation.py), its bytes are exact. For each setting
and seed: both parties alone and by each local control; SMuLe with at most --budget-mb an epoch, dealer included; both
networks together at prediction time; for seed 0 also, as upper bounds, an exchange about all samples and one network on
the data of both. --variant runs SMuLe alone with other settings or another budget. Finished cases are kept in
--work/<label>; several processes may share the work.

    python benchmarks/learning.py --data path/to/cifar10-folder --work path/to/work --seeds 0,1,2 --output learning.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from answer_options import options
from figures_file import write_figures
from learning_cases import BOUNDS, METHODS, Case, Kept
from learning_settings import SETTINGS, divide, scaled
from learning_simulation import Pair
from learning_tables import collect, draw, markdown, rows_of, show, show_variants, variants_of
from trained_networks import CONF, NUM_CLASSES, load_cifar10, load_idx

from smule_crypten.config.sections import SchemeConfig, TrainingConfig
from smule_crypten.files import write_atomic


def main() -> int:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    kept = Kept(arguments.work / arguments.label)
    load = load_idx if (arguments.data / "train-images-idx3-ubyte.gz").exists() else load_cifar10
    images = load(arguments.data, arguments.work)
    scheme = SchemeConfig(name="lean")
    names = arguments.settings or [setting.name for setting in SETTINGS]
    for seed in map(int, arguments.seeds.split(",")):
        for setting in (scaled(setting, arguments.scale) for setting in SETTINGS if setting.name in names):
            holdings = divide(setting, images.train, NUM_CLASSES, seed)
            if arguments.without_pool:
                holdings = holdings[0].without_pool(), holdings[1].without_pool()
            pair = Pair(setting, holdings, images.test, NUM_CLASSES, seed)
            pair.bfloat16 = arguments.bfloat16
            pair.option = options()[arguments.answers]
            case = Case(pair, f"{setting.name}/{seed}", kept, scheme)
            config = pair.config(**_recipe(arguments.training))
            if arguments.variant is None:
                case.run(arguments.budget_mb, config, arguments.methods or _delivered(seed))
            else:
                case.run_variant(arguments.variant, arguments.budget_mb, config)
    results = collect(kept.folder)
    rows, variants = rows_of(results, names), variants_of(results)
    show(rows)
    show_variants(variants)
    if arguments.output is not None:
        write_figures(arguments.output, "learning", arguments.threads, {"rows": rows, "variants": variants})
        table = markdown(rows)
        write_atomic(arguments.output.with_suffix(".md"), lambda file: file.write(table.encode()))
        draw(rows, arguments.output.with_suffix(".svg"))
    return 0


def _delivered(seed: int) -> tuple[str, ...]:
    """The bounds take long and are wanted once."""
    return tuple(method for method in METHODS if seed == 0 or method not in BOUNDS)


def _recipe(overrides: list[str]) -> dict[str, Any]:
    """The learning part of the delivered settings for photographs, and what the command line changes of it."""
    settings = TrainingConfig.model_validate(yaml.safe_load((CONF / "training" / "images.yaml").read_text()))
    keys = {"temperature", "distillation_weight", "label_smoothing", "pool_batch", "teacher", "trust"}
    return settings.model_dump(include=keys) | _changes(overrides)


def _changes(overrides: list[str]) -> dict[str, Any]:
    return {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in overrides)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10 images, or of IDX files")
    parser.add_argument("--work", type=Path, required=True, help="folder for decoded images and finished cases")
    parser.add_argument("--label", default="learning", help="of this set of cases (default learning)")
    parser.add_argument("--settings", nargs="*", metavar="NAME", help="(default all)")
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="(default all; the bounds for seed 0 only)")
    parser.add_argument("--seeds", default="0", help="separated by commas (default 0)")
    parser.add_argument("--budget-mb", type=float, default=75.0, help="an epoch, all in (default 75)")
    parser.add_argument(
        "--training", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the training settings"
    )
    parser.add_argument("--without-pool", action="store_true", help="with --variant: ask about labelled samples")
    parser.add_argument("--variant", help="run SMuLe only, with these settings, and keep it under this name")
    parser.add_argument("--answers", choices=list(options()), default="as they are", help="what the peer tells")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all numbers of samples (default 1)")
    parser.add_argument("--bfloat16", action="store_true", help="train with bfloat16 products, faster on some CPUs")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (default 1)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures; a table and a picture go beside it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
