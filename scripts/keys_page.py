"""Writes docs/keys.md from the models of the configuration: python scripts/keys_page.py"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic.fields import FieldInfo

from smule_crypten.attacks.table import ATTACKS
from smule_crypten.config.config_reading import leaves
from smule_crypten.config.sections import Section
from smule_crypten.data.loaders import DATA_OPTIONS
from smule_crypten.features.torchvision_map import TorchvisionMapOptions
from smule_crypten.fixed_point.options import LeanOptions, TwoPartyOptions
from smule_crypten.launch.key_help import (
    TOPICS,
    dealer_keys,
    default_of,
    is_rare,
    party_keys,
    run_keys,
    topic_of,
    values_of,
)
from smule_crypten.models.zoo import NETWORKS
from smule_crypten.suites.options import SuiteConfig

PAGE = Path(__file__).parents[1] / "docs" / "keys.md"
_ABOUT = """\
# All keys

Written by `python scripts/keys_page.py` from the models of the configuration; a test holds it to them. *Rare* keys are
shown by `--help-all` only. A key without a default must be given, or comes with a choice (`data=digits`, ...), whose
file in [conf/](../conf/config.yaml) says what differs from the defaults.
"""
_RUN = """
## smule

`smule` takes its networks, data and partition from the choices in [conf/config.yaml](../conf/config.yaml), and sets
`allow_insecure=true` and `randomness=seeded_insecure`. `party_b` has the same keys as `party_a`.
"""
_PARTY = """
## smule-party, smule-predict, smule-estimate and smule-doctor

What the file of a side says, or their command line. Keys that `smule` has as well mean the same; those of `party_a`
there stand by themselves here, as `samples.validation`.
"""
_DEALER = "\n## smule-dealer\n"
_SUITE = "\n## smule-benchmark\n\nBeside the keys of `smule`, those of `suite`:\n"
_OPTIONS = "\n## Options\n"


def page() -> str:
    """The whole page."""
    of_run = {key for key, _ in run_keys()}
    only_of_sides = [(key, field) for key, field in party_keys() if not {key, f"party_a.{key}"} & of_run]
    parts = [_ABOUT, _RUN, _by_topic(run_keys()), _PARTY, _by_topic(only_of_sides)]
    parts += [_DEALER, _table((key, field) for key, field in dealer_keys() if not key.startswith("launch."))]
    parts += ["\nand `launch.*`, as above.\n", _SUITE, _table(leaves(SuiteConfig, "suite.")), _OPTIONS]
    kinds: dict[str, type[Section]] = {
        "scheme=lean, `scheme.options`": LeanOptions,
        "scheme=two_party, `scheme.options`": TwoPartyOptions,
    }
    kinds |= {f"data={name}, `data.options`": options for name, options in DATA_OPTIONS.items()}
    kinds["features=torchvision, `features.options`"] = TorchvisionMapOptions
    kinds |= {f"party_a/model={name}, `party_a.model.options`": row.options for name, row in NETWORKS.items()}
    kinds |= {f"attack={name}, `attack.options`": options for name, (options, _) in ATTACKS.items()}
    for title, kind in kinds.items():
        if kind.model_fields:
            parts += [f"\n### {title}\n", _table(leaves(kind))]
    return "".join(parts)


def _by_topic(keys: list[tuple[str, FieldInfo]]) -> str:
    parts = []
    for topic in TOPICS:
        of_topic = [(key, field) for key, field in keys if topic_of(key) == topic]
        if of_topic:
            parts += [f"\n### {topic}\n", _table(of_topic)]
    return "".join(parts)


def _table(keys: Iterable[tuple[str, FieldInfo]]) -> str:
    rows = ["\n| Key | Values | Default | Meaning |", "|---|---|---|---|"]
    for key, field in keys:
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        default = f"`{default_of(field)}`" if default_of(field) else ""
        rows.append(f"| `{key}`{' *rare*' if is_rare(field) else ''} | {values_of(field)} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
