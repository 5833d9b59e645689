"""The rooms of the package: who stands on which floor, who may import whom, and how large a room may become."""

from __future__ import annotations

import ast
import configparser
import graphlib
from collections import Counter

import pytest
from import_graph import PACKAGE, ROOT, imports_of, inner_imports, module_files

MODULES = module_files()

FLOORS: list[set[str]] = [
    {"_version", "errors", "types", "metric_names", "torchvision_compat", "removed"},
    {"files", "names", "fork_server"},
    {"config"},
    {"tables", "images"},
    {"sources"},
    {"data", "models"},
    {"tasks", "features"},
    {"report", "training", "transport"},
    {"mpc", "terms", "pages", "compute"},
    {"fixed_point", "oblivious"},
    {"lattice", "comparison"},
    {"two_party"},
    {"inference"},
    {"joint_head"},
    {"mutual_learning"},
    {"audit", "head_run", "status"},
    {"party"},
    {"prediction", "doctor", "attacks", "dealing"},
    {"simulation"},
    {"baselines"},
    {"suites", "party_pool", "contract_parties"},
    {"testing"},
    {"launch", "conf"},
]
"""Rooms, and modules beside the rooms, from the bottom. One imports from the floors below its own and from itself."""

SMALL = FLOORS[0] | FLOORS[1] | FLOORS[2]

NARROW: dict[str, set[str]] = {
    "images": SMALL,
    "sources": SMALL | {"images"},
    "report": {"errors", "types", "metric_names", "files"},
    "pages": {"errors", "types", "metric_names", "files", "report"},
    "transport": {"errors", "types", "files"},
    "mpc": SMALL | {"models", "transport"},
    "compute": SMALL | {"data", "models", "tasks", "training"},
    "terms": SMALL | {"report.formatting", "transport.credentials", "transport.signatures"},
    "fixed_point": SMALL | {"models", "mpc.session", "mpc.packing"},
    "oblivious": {"errors", "types", "files", "mpc.packing"},
    "comparison": {"errors", "types", "mpc.packing", "oblivious"},
    "lattice": SMALL | {"models", "fixed_point", "mpc.keys", "mpc.packing", "mpc.streams"},
    "two_party": SMALL | {"models", "mpc", "fixed_point", "lattice", "oblivious", "comparison", "transport.channel"},
    "inference": SMALL | {"models", "mpc", "fixed_point", "lattice", "oblivious", "comparison", "two_party"},
    "joint_head": SMALL
    | {"data", "features", "mpc.packing", "mpc.streams", "fixed_point.wire"}
    | {"lattice.parameters", "lattice.ring"},
    "mutual_learning": SMALL
    | {"data", "models", "tasks", "training", "report.records"}
    | {"inference.scheme", "inference.answerer", "inference.noise"},
    "audit": SMALL
    | {"terms", "report.records", "report.formatting", "mutual_learning.budget", "mutual_learning.disclosures"},
    "status": SMALL,
    "head_run": SMALL
    | {"joint_head", "mpc.session", "mpc.keys", "mpc.streams", "fixed_point.wire", "transport.meter"}
    | {"inference.scheme", "mutual_learning.head_budget", "mutual_learning.kept_ledger"}
    | {"data", "tasks", "training.learner", "training.ensemble", "report.records", "report.formatting"},
    "attacks": SMALL | {"data", "models", "joint_head"},
    "party_pool": SMALL | {"transport", "mpc", "inference"},
    "contract_parties": SMALL | {"models", "mpc", "inference"},
    "testing": SMALL | {"models", "mpc", "inference", "party_pool", "contract_parties"},
    "launch": SMALL
    | {
        "report",
        "pages",
        "compute",
        "party",
        "prediction",
        "doctor",
        "simulation",
        "suites",
        "tables",
        "terms",
        "audit",
        "dealing",
        "status",
        "mpc.compat",
        "transport.credentials",
        "transport.meeting",
    },
}
"""Room that sees less than all floors below it -> the rooms and single modules that it sees."""

RESERVED = {
    "crypten": {"mpc"},
    f"{PACKAGE}.mpc.compat": {"mpc", "launch"},
    "hydra": {"launch"},
    "omegaconf": {"launch"},
}
"""Library, or module that hands one on -> the only rooms that may import it."""

UNSEEN = {"transport": {"torch.nn"}}
"""Room -> libraries that it does not know."""

MOST_LINES_OF_A_ROOM = 3000
MOST_LINES_OF_A_MODULE = 300
LONG_MODULES: dict[str, int] = {}
"""Modules that are longer, and how long they may be. Nothing is added here; who shortens one takes it out."""


def room_of(name: str) -> str:
    return name.split(".")[0]


def visible_from(room: str) -> set[str]:
    """Rooms and single modules that a room may import."""
    if not room:  # the front door
        return set().union(*FLOORS)
    floor = next(number for number, rooms in enumerate(FLOORS) if room in rooms)
    below = set().union(*FLOORS[:floor])
    narrow = NARROW.get(room, below)
    assert {room_of(seen) for seen in narrow} <= below, f"{room} would see what stands above it"
    return narrow | {room}


def violations(name: str, source: str) -> list[str]:
    """What the module of this name must not import, but does."""
    room = room_of(name)
    visible, modules = visible_from(room), set(MODULES)
    bad = {imported for imported in inner_imports(name, source, modules) if not _is_within(imported, visible)}
    hidden = UNSEEN.get(room, set()) | {library for library, rooms in RESERVED.items() if room not in rooms}
    imported = imports_of(name, source)
    bad |= {library for library in hidden if any(f"{i}.".startswith(f"{library}.") for i in imported)}
    return sorted(bad)


def _is_within(imported: str, visible: set[str]) -> bool:
    """Whether imported is a visible module, lies in a visible room, or is a room on the way to a visible module."""
    return any(f"{imported}.".startswith(f"{v}.") or f"{v}.".startswith(f"{imported}.") for v in visible)


def imported_by(name: str) -> set[str]:
    return inner_imports(name, MODULES[name].read_text(), set(MODULES)) - {name}


def lines_of(name: str) -> int:
    return len(MODULES[name].read_text().splitlines())


def test_every_room_has_one_floor() -> None:
    """A new room, or a new module beside the rooms, needs a decision about what it may see."""
    floors = Counter(room for rooms in FLOORS for room in rooms)
    assert set(floors.values()) == {1}
    assert {room_of(name) for name in MODULES} - {""} == set(floors)


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or PACKAGE)
def test_layers(name: str) -> None:
    """Floors stay apart: no module imports from beside or above, nor what its room must not know."""
    assert violations(name, MODULES[name].read_text()) == []


def test_nothing_inside_uses_the_front_door() -> None:
    """It hands out what stands inside; a module that took a name from it would hide where that comes from, or go in
    circles."""
    inside = {name: path.read_text() for name, path in MODULES.items() if name}
    assert [name for name, source in inside.items() if PACKAGE in imports_of(name, source)] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """The modules have an order in which they can be read, each after those that it uses."""
    graphlib.TopologicalSorter({name: imported_by(name) for name in MODULES if room_of(name)}).prepare()


def test_production_imports_nothing_of_the_simulation() -> None:
    """No party between hosts loads an adversary, or what else serves a simulation only."""
    production = {
        "transport",
        "mpc",
        "inference",
        "mutual_learning",
        "head_run",
        "terms",
        "audit",
        "status",
        "party",
        "prediction",
        "doctor",
        "dealing",
    }
    simulated = {"attacks", "simulation", "baselines", "suites"}
    found = {(name, other) for name in MODULES if room_of(name) in production for other in imported_by(name)}
    assert {(name, other) for name, other in found if room_of(other) in simulated} == set()


def test_the_wheel_has_every_room() -> None:
    """A folder that setup.cfg does not name is missing where the package is installed from a wheel."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    folders = {f"{PACKAGE}.{name}".rstrip(".") for name, path in MODULES.items() if path.name == "__init__.py"}
    assert set(settings["options"]["packages"].split()) == folders


def test_rooms_stay_small() -> None:
    """Who enters a room can read it in a day; beyond that it wants to be two."""
    lines: Counter[str] = Counter()
    for name in MODULES:
        lines[room_of(name)] += lines_of(name)
    assert {room: count for room, count in lines.items() if count > MOST_LINES_OF_A_ROOM} == {}


def test_modules_stay_small() -> None:
    """One concept a module. The list of longer ones only shrinks: it names none that is short, or gone."""
    longer = {name: lines for name in MODULES if (lines := lines_of(name)) > MOST_LINES_OF_A_MODULE}
    assert set(longer) == set(LONG_MODULES)
    assert {name: lines for name, lines in longer.items() if lines > LONG_MODULES[name]} == {}


def test_rooms_say_what_they_are() -> None:
    """The __init__ file of a room says what lives there and what it sees, and holds no code: importing one module of
    the room loads no other."""
    folders = {name: path.read_text() for name, path in MODULES.items() if path.name == "__init__.py" and name}
    for name, text in folders.items():
        assert [type(statement) for statement in ast.parse(text).body] == [ast.Expr], name
        assert "." in name or name in ("launch", "conf") or "Sees " in text, name


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("mpc.network", "from smule_crypten.data.samples import Samples", ["data.samples"]),
        ("mpc.network", "from smule_crypten import data", ["data"]),
        ("mpc.network", "def f():\n    import smule_crypten.data.samples as i", ["data.samples"]),
        ("mpc.network", "from ..data import samples", ["data", "data.samples"]),
        ("mpc.network", "from importlib import import_module\nimport_module('smule_crypten.data')", ["data"]),
        ("mutual_learning.cache", "from smule_crypten.mpc.session import Session", ["mpc.session"]),
        (
            "mutual_learning.cache",
            "from smule_crypten.inference.registry import scheme_class",
            ["inference.registry"],
        ),
        ("mutual_learning.cache", "from smule_crypten.inference.scheme import SecureInferenceScheme", []),
        ("mutual_learning.cache", "from smule_crypten.inference import scheme", []),
        ("mutual_learning.cache", "from smule_crypten.inference import registry", ["inference.registry"]),
        ("training.trainer", "import smule_crypten.mutual_learning.cache", ["mutual_learning.cache"]),
        ("training.trainer", "from smule_crypten.report.summary import write_summary", ["report.summary"]),
        ("report.sweep", "from smule_crypten.config.run import RunConfig", ["config.run"]),
        ("report.sweep", "from smule_crypten.pages.plots import learning_svg", ["pages.plots"]),
        ("pages.opening", "from smule_crypten.party.run_folder import party_folder", ["party.run_folder"]),
        ("models.zoo", "from smule_crypten.data.samples import Samples", ["data.samples"]),
        ("errors", "from smule_crypten.types import PARTY_NAMES", ["types"]),
        ("transport.link", "from smule_crypten.config.connection import PeerConfig", ["config.connection"]),
        ("transport.link", "import torch\nfrom torch import nn", ["torch.nn"]),
        ("transport.link", "import torch.nn.functional as F", ["torch.nn"]),
        ("transport.link", "import torch\nimport torch.distributed", []),
        ("party.party", "from smule_crypten.simulation.controls import run_controls", ["simulation.controls"]),
        ("party.joining", "from smule_crypten.attacks.attack import Attack", ["attacks.attack"]),
        ("prediction.asking", "from smule_crypten.attacks.attack import Attack", ["attacks.attack"]),
        ("testing", "from smule_crypten.party.party import run_party", ["party.party"]),
        ("inference.crypten", "import crypten", ["crypten"]),
        ("inference.crypten", "from smule_crypten.mpc.compat import crypten", ["smule_crypten.mpc.compat"]),
        ("party.party", "import importlib\nimportlib.import_module('crypten.mpc')", ["crypten"]),
        ("party.party", "if True:\n    from omegaconf import DictConfig", ["omegaconf"]),
        ("mpc.compat", "import crypten.communicator", []),
        ("launch.train", "import hydra\nfrom smule_crypten.simulation.simulation import simulate", []),
        ("launch.train", "from smule_crypten.mpc.session import Session", ["mpc.session"]),
        ("data.loaders", "import torch\nfrom smule_crypten.data.samples import DataBundle", []),
    ],
)
def test_forbidden_imports_are_caught(name: str, source: str, expected: list[str]) -> None:
    """The check itself: each way of writing an import is seen, and what is allowed passes."""
    assert violations(name, source) == expected
