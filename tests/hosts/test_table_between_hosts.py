"""A table at each of two organisations: one public schema, a run, and predictions for new rows."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from hosts_folders import Folders
from hosts_network import ROLES, Network
from hosts_run import HostRun
from hosts_tripwire import Tripwire

from smule_crypten.errors import HandshakeError
from smule_crypten.launch.estimate import main as estimate_main
from smule_crypten.launch.predict import main as predict_main
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.schema_file import text_of
from smule_crypten.training.checkpoint import load_checkpoint

SCHEMA = TableSchema(
    columns=(
        Column(name="age", kind="numeric", centre=50.0, scale=20.0, missing=True),
        Column(name="region", kind="categorical", categories=("north", "south")),
        Column(name="left", role="target", kind="categorical", categories=("no", "yes")),
    )
)
TABLE = {"data": {"name": "table", "path": "customers.csv", "options": {"schema_file": "schema.yaml"}}}


def write_customers(
    folder: Path, seed: int, *, columns: tuple[str, ...] = ("age", "region", "left"), blanks: bool = True
) -> None:
    """200 customers, with the columns in this order; the old ones leave. With blanks the age of some is missing."""
    generator = np.random.default_rng(seed)
    ages = generator.uniform(20, 80, 200).round(1)
    values = {
        "age": [("" if blanks and number % 20 == 0 else str(age)) for number, age in enumerate(ages)],
        "region": generator.choice(["north", "south"], 200).tolist(),
        "left": ["yes" if age > 50 else "no" for age in ages],
    }
    rows = zip(*(values[name] for name in columns), strict=True)
    (folder / "customers.csv").write_text("\n".join([",".join(columns), *map(",".join, rows)]) + "\n")


@pytest.fixture
def folders(network: Network, tmp_path: Path) -> Folders:
    """Party b has its columns in another order."""
    sides = Folders(tmp_path, network, **TABLE)
    write_customers(sides.folder("a"), 1)
    write_customers(sides.folder("b"), 2, columns=("left", "region", "age"))
    for role in "ab":
        (sides.folder(role) / "schema.yaml").write_text(text_of(SCHEMA))
    return sides


def test_a_run_and_predictions_for_new_customers(network: Network, folders: Folders) -> None:
    """Both train on their rows; then party a asks about rows without the column that is predicted."""
    with HostRun(network, folders) as run:
        run.complete()
    (folders.folder("a") / "new.csv").write_text("region,age\nsouth,25\nnorth,\nnorth,78\n")
    commands = {"a": predict_main, "b": predict_main}
    with HostRun(network, folders, commands, {"a": ["input=new.csv", "output=answers.csv"]}) as run:
        run.complete()
    with (folders.folder("a") / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["predicted class"] for row in (rows[0], rows[2])] == ["no", "yes"]
    assert len(rows) == 3


def test_after_a_run_on_numbers(network: Network, tmp_path: Path) -> None:
    """The network and the scale of the target follow from the schema. The estimate knows both networks and what was
    held out, and predictions are in the target's own unit. A run that was cut off goes on, too.
    """
    columns = (*SCHEMA.columns[1:], Column(name="age", role="target", kind="numeric", centre=50.0, scale=20.0))
    schema = TableSchema(columns=(columns[0], columns[1].model_copy(update={"role": "feature"}), columns[2]))
    sides = Folders(tmp_path, network, **TABLE, task="regression", model={"name": "auto"}, samples__validation=0.2)
    for number, role in enumerate("ab"):
        write_customers(sides.folder(role), number, blanks=False)
        (sides.folder(role) / "schema.yaml").write_text(text_of(schema))
    with HostRun(network, sides) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 3)})
        assert run.wait()["b"] == -signal.SIGKILL
        run.complete()
    with HostRun(network, sides, {"a": estimate_main, "b": estimate_main}) as run:
        run.complete()
    for role in "ab":
        found = json.loads((sides.output(role) / "estimate.json").read_text())
        assert found["worth"]["num_known"] > 0
    (sides.folder("a") / "new.csv").write_text("region,left\nsouth,no\nsouth,yes\n")
    commands = {"a": predict_main, "b": predict_main}
    with HostRun(network, sides, commands, {"a": ["input=new.csv", "output=answers.csv"]}) as run:
        run.complete()
    with (sides.folder("a") / "answers.csv").open(newline="") as file:
        ages = [float(row["age by own"]) for row in csv.DictReader(file)]
    assert all(10 < age < 90 for age in ages)
    assert load_checkpoint(sides.output("a") / "model.pt").target_mean == (50.0,)


def test_schemas_that_differ_end_the_run(network: Network, folders: Folders) -> None:
    """Before anything of the data is sent, at both sides, by the name of the column."""
    column = SCHEMA.columns[0].model_copy(update={"centre": 45.0})
    other = SCHEMA.model_copy(update={"columns": (column, *SCHEMA.columns[1:])})
    (folders.folder("b") / "schema.yaml").write_text(text_of(other))
    with HostRun(network, folders) as run:
        run.start()
        codes = run.wait()
        logs = {role: run.processes[role].log for role in ROLES}
    assert [codes[role] for role in "ab"] == [HandshakeError.exit_code] * 2
    for role in "ab":
        assert "data.columns.age: " in logs[role]
        assert '"centre": 45.0' in logs[role]


def test_without_a_schema_nothing_starts(network: Network, folders: Folders) -> None:
    """Constants of the own rows would differ from the other party's, and tell of them."""
    folders.change("a", data={"name": "table", "path": "customers.csv", "target": "left"})
    with HostRun(network, folders) as run:
        run.start("a")
        assert run.wait()["a"] == 2
        assert "data.options.schema_file: between hosts a table needs a schema" in run.processes["a"].log
        assert "smule-table schema drafts one" in run.processes["a"].log
