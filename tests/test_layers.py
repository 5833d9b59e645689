"""Who may import whom. The rules are those stated at the top of each folder's __init__ file."""

from __future__ import annotations

import pytest
from import_graph import PACKAGE, imports_of, inner_imports, module_files

MODULES = module_files()

CONFIGURATION = {
    "removed",
    "config",
    "config_reading",
    "exchange_config",
    "party_config",
    "connection_config",
    "scheme_table",
    "run_config",
    "protocol_config",
}
BOTTOM = CONFIGURATION | {"errors", "types", "files", "options", "torchvision_compat", "_version"}
COMPOSED = {"data", "models", "report", "mpc", "attacks", "training", "inference", "exchange", "mutual_learning"}

ALLOWED: dict[str, set[str]] = {
    "": {"_version"},
    "_version": set(),
    "errors": set(),
    "types": set(),
    "torchvision_compat": set(),
    "fork_server": set(),
    "files": {"errors"},
    "removed": set(),
    "config": set(),
    "config_reading": {"errors", "removed", "config"},
    "exchange_config": {"config"},
    "party_config": {"config"},
    "connection_config": {"config"},
    "scheme_table": {"errors", "types", "config_reading"},
    "run_config": {"types", "config", "exchange_config", "party_config", "connection_config", "scheme_table"},
    "protocol_config": {"config", "exchange_config", "run_config"},
    "options": {"errors", "config", "config_reading", "torchvision_compat"},
    "data": BOTTOM,
    "models": BOTTOM,
    "report": {"errors", "types", "files"},
    "mpc": BOTTOM | {"models"},
    "attacks": BOTTOM | {"data", "models"},
    "training": BOTTOM | {"data", "models"},
    "inference": BOTTOM | {"models", "mpc"},
    "exchange": BOTTOM | {"data", "models", "inference.scheme", "inference.noise"},
    "mutual_learning": BOTTOM | {"data", "models", "inference.scheme", "inference.answerer", "training", "exchange"},
    "processes": BOTTOM | COMPOSED | {"fork_server"},
    "party_pool": BOTTOM | COMPOSED | {"fork_server"},
    "testing": BOTTOM | COMPOSED | {"party_pool"},
    "suites": BOTTOM | COMPOSED | {"processes"},
    "launch": BOTTOM | {"report", "processes", "suites", "mpc.compat", "mpc.credentials", "mpc.meeting"},
    "conf": set(),
}
"""Unit (a folder, or a module beside the folders) -> the units and single modules that it may import."""

RESERVED = {
    "crypten": {"mpc"},
    f"{PACKAGE}.mpc.compat": {"mpc", "launch"},
    "hydra": {"launch"},
    "omegaconf": {"launch"},
}
"""Library, or module that hands one on -> the only units that may import it."""


def unit_of(name: str) -> str:
    return name.split(".")[0]


def violations(name: str, source: str) -> list[str]:
    """What the module of this name must not import, but does."""
    unit = unit_of(name)
    visible = ALLOWED[unit] | {unit}
    bad = {imported for imported in inner_imports(name, source, set(MODULES)) if not _is_within(imported, visible)}
    for reserved, units in RESERVED.items():
        if unit not in units and any(f"{i}.".startswith(f"{reserved}.") for i in imports_of(name, source)):
            bad.add(reserved)
    return sorted(bad)


def _is_within(imported: str, visible: set[str]) -> bool:
    """Whether imported is a visible module, lies in a visible folder, or is a folder on the way to a visible module."""
    return any(f"{imported}.".startswith(f"{v}.") or f"{v}.".startswith(f"{imported}.") for v in visible)


def test_every_unit_has_a_rule() -> None:
    """A new folder or a new module beside the folders needs a decision about what it may see."""
    assert {unit_of(name) for name in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or PACKAGE)
def test_layers(name: str) -> None:
    """Floors stay apart: no module imports from beside or above where its folder's rule does not say so."""
    assert violations(name, MODULES[name].read_text()) == []


SIMULATION = {"processes.adversary", "processes.evidence", "processes.same_data", "processes.simulated_party"}
"""What only a simulation does to its parties."""


def test_a_party_between_hosts_imports_nothing_of_a_simulated_adversary() -> None:
    """What serves an attack is injected by the simulation, and is not even loaded where a party runs for itself."""
    seen, waiting = set[str](), ["launch.party", "processes.party", "processes.single_party"]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += inner_imports(name, MODULES[name].read_text(), set(MODULES))
    assert "mutual_learning.loop" in seen
    assert {name for name in seen if name in SIMULATION or unit_of(name) == "attacks"} == set()


def test_folders_hold_no_code_of_their_own() -> None:
    """The __init__ file of a folder is its rule and nothing else, so that importing one module loads no other."""
    folders = [name for name, path in MODULES.items() if path.name == "__init__.py" and name]
    assert {name: imports_of(name, MODULES[name].read_text()) for name in folders} == {name: set() for name in folders}


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("mpc.network", "from smule_crypten.data.images import LabelledImages", ["data.images"]),
        ("mpc.network", "from smule_crypten import data", ["data"]),
        ("mpc.network", "def f():\n    import smule_crypten.data.images as i", ["data.images"]),
        ("mpc.network", "from ..data import images", ["data", "data.images"]),
        ("mpc.network", "from importlib import import_module\nimport_module('smule_crypten.data')", ["data"]),
        ("exchange.cache", "from smule_crypten.mpc.session import Session", ["mpc.session"]),
        ("exchange.cache", "from smule_crypten.inference.registry import scheme_class", ["inference.registry"]),
        ("exchange.cache", "from smule_crypten.inference.scheme import SecureInferenceScheme", []),
        ("exchange.cache", "from smule_crypten.inference import scheme", []),
        ("exchange.cache", "from smule_crypten.inference import registry", ["inference.registry"]),
        ("training.trainer", "import smule_crypten.mutual_learning.cache", ["exchange.cache"]),
        ("report.html", "from smule_crypten.config.sections import RunConfig", ["config"]),
        ("mutual_learning.loop", "from smule_crypten.party.states import StateFolder", ["processes.states"]),
        ("mutual_learning.loop", "from smule_crypten.mpc.session import Session", ["mpc.session"]),
        ("models.zoo", "from smule_crypten.data.images import LabelledImages", ["data.images"]),
        ("errors", "from smule_crypten.types import PARTY_NAMES", ["types"]),
        ("testing", "from smule_crypten.party.party import run_party", ["processes.party"]),
        ("inference.crypten", "import crypten", ["crypten"]),
        ("inference.crypten", "from smule_crypten.mpc.compat import crypten", ["smule_crypten.mpc.compat"]),
        ("processes.party", "import importlib\nimportlib.import_module('crypten.mpc')", ["crypten"]),
        ("processes.party", "if True:\n    from omegaconf import DictConfig", ["omegaconf"]),
        ("mpc.compat", "import crypten.communicator", []),
        ("launch.train", "import hydra\nfrom smule_crypten.simulation.simulation import simulate", []),
        ("launch.train", "from smule_crypten.mpc.session import Session", ["mpc.session"]),
        ("data.loaders", "import torch\nfrom smule_crypten.data.images import DataBundle", []),
    ],
)
def test_forbidden_imports_are_caught(name: str, source: str, expected: list[str]) -> None:
    """The check itself: each way of writing an import is seen, and what is allowed passes."""
    assert violations(name, source) == expected
