"""The names that `import smule_crypten as smule` offers: cheap to have, explained, and with examples that run."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import inspect
import multiprocessing
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import smule_crypten as smule
from smule_crypten.config.options import call_target
from smule_crypten.errors import ConfigError, DataError, PartyFailedError, UnshareableModelError
from smule_crypten.models.agreement import translate_checked

NAMES = sorted(set(smule.__all__) - {"__version__"})
FRONT_DOOR = Path(smule.__file__)


def test_importing_it_takes_no_time() -> None:
    """Setup and --help import the package: nothing heavy may come with it, nor any room."""
    script = "import sys, smule_crypten; print([m for m in sys.modules if m.startswith(('torch', 'hydra', 'smule'))])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert sorted(ast.literal_eval(found)) == ["smule_crypten", "smule_crypten._version"]


def test_one_list_of_names() -> None:
    """What is imported lazily, what type checkers are told and what __all__ says are the same names."""
    told = [
        alias.asname or alias.name
        for node in ast.walk(ast.parse(FRONT_DOOR.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    ]
    assert sorted({*told} - {"__version__", "import_module"}) == sorted(smule._HOMES) == NAMES
    assert set(NAMES) <= set(dir(smule))


def test_types_are_those_that_run() -> None:
    """A type checker and Python find the same object behind each name."""
    homes = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(FRONT_DOOR.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    assert {name: homes[name] for name in NAMES} == {
        name: f"smule_crypten.{home}" for name, home in smule._HOMES.items()
    }
    assert smule.translate is translate_checked


def test_unknown_name() -> None:
    """A misspelt name is an AttributeError as of any module, so that hasattr and imports work."""
    assert not hasattr(smule, "simulation_of_everything")
    with pytest.raises(ImportError, match="simulat"):
        exec("from smule_crypten import simulat")


@pytest.mark.parametrize("name", NAMES)
def test_names_explain_themselves(name: str) -> None:
    """Each has a docstring with an example, and one that is called says what goes in, in sections that tools render."""
    found = getattr(smule, name)
    text = inspect.getdoc(found) or ""
    assert "Example:\n    >>> import" in text
    section = "Attributes" if dataclasses.is_dataclass(found) else "Args"
    parameters = (
        [] if name in ("PredictionSource", "SmuleError", "TrainingConfig") else inspect.signature(found).parameters
    )
    assert [each for each in parameters if f"\n    {each}: " not in text.partition(f"{section}:")[2]] == []
    assert not inspect.isfunction(found) or "Returns:\n" in text


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_names_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What help() shows gives what it says."""
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(smule, name), name, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert runner.run(example).failed == 0


def test_configure_is_the_command_line() -> None:
    """As `smule` composes it: groups, keys, and an error of one line that names the nearest key."""
    run = smule.configure("data=fashion_mnist", "party_b/model=lenet", "training.epochs=3")
    assert (run.data.name, run.party_b.model.name, run.training.epochs) == ("fashion_mnist", "lenet", 3)
    assert run.randomness == "seeded_insecure"
    with pytest.raises(ConfigError, match="party_a/model: no choice 'lenett'"):
        smule.configure("party_a/model=lenett")
    with pytest.raises(ConfigError, match="cannot read the override"):
        smule.configure("training.epochs")


def load() -> smule.DataBundle:
    """A data set of the test's own."""
    images = torch.randn(120, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = (images.mean((1, 2, 3)) > 0).long()
    samples = smule.Samples(images, labels, torch.arange(120))
    return smule.DataBundle(samples.select(torch.arange(80)), samples.select(torch.arange(80, 120)), ("low", "high"))


def build(input_shape: tuple[int, int, int], num_classes: int) -> torch.nn.Module:
    """A network of the test's own."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(input_shape[1] * input_shape[2], num_classes))


def test_own_functions() -> None:
    """They are named as other processes import them, keys of the data still apply, and what cannot be imported is
    refused before anything starts."""
    run = smule.configure(
        "data.mean=[0.5]", "partition=iid", "training.batch_size=8", data=load, networks=(build, build)
    )
    assert run.data.options == {"_target_": f"{__name__}:load"}
    assert run.data.mean == (0.5,)
    assert run.party_b.model.options == {"_target_": f"{__name__}:build"}
    both = smule.InProcess(run)
    assert both.simulated.data.bundle.class_names == ("low", "high")

    def local() -> None: ...

    with pytest.raises(ConfigError, match="other processes cannot import it"):
        smule.configure(data=local)
    with pytest.raises(ConfigError, match="lambda"):
        smule.configure(networks=(build, lambda input_shape, num_classes: build(input_shape, num_classes)))


def test_what_was_typed_in_cannot_be_imported() -> None:
    """A function of a notebook is not there in other processes, which say what to do."""
    with pytest.raises(ConfigError, match="put it into a module or a script"):
        call_target({"_target_": "__main__:typed_in"}, "data.options", DataError)


def test_own_script(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Data and networks may stand in the script itself; nothing is printed without being asked for."""
    script = tmp_path / "own.py"
    body = inspect.getsource(load) + inspect.getsource(build)
    script.write_text(
        f"import torch\nimport smule_crypten as smule\n{body}"
        "if __name__ == '__main__':\n"
        "    keys = ['training.epochs=1', 'exchange.num_queries=4', 'exchange.every=1', 'simulation.controls=[]']\n"
        "    keys += ['training.batch_size=8', 'partition=iid']\n"
        "    run = smule.configure(*keys, data=load, networks=(build, build))\n"
        f"    summary = smule.simulate(run, {str(tmp_path / 'run')!r})\n"
    )
    summary = runpy.run_path(str(script), run_name="__main__")["summary"]
    assert (summary.status, summary.communication.queries_per_epoch) == ("completed", [8])
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "run" / "summary.json").exists()


def test_script_without_a_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that import the script would start others: they end, and say how to write it."""
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import torch, smule_crypten as smule\n"
        "network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))\n"
        "smule.exchange((network, network), (torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)), scheme='plaintext')\n"
    )
    with pytest.raises(PartyFailedError, match="see the output above"):
        runpy.run_path(str(script), run_name="__main__")
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(ConfigError, match='below: if __name__ == "__main__":'):
        runpy.run_path(str(script), run_name="__main__")


class Halves(torch.nn.Module):
    """Cannot be pickled, as networks with hooks and the like cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(16, 3)
        self.unpicklable = lambda: None

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        return self.linear(inputs_NX.flatten(1))


@pytest.mark.parametrize("scheme", ["", "lean"])
def test_one_exchange(scheme: str) -> None:
    """Each party has what the other one's network says of its own samples, up to noise, and both count alike; by the
    two parties alone unless it is asked otherwise."""
    torch.manual_seed(0)
    networks = (Halves(), build((1, 4, 4), 3))
    questions = (torch.randn(5, 1, 4, 4), torch.randn(3, 1, 4, 4))
    for_a, for_b = smule.exchange(networks, questions, **({"scheme": scheme} if scheme else {}))
    for found, network, asked in ((for_a, networks[1], questions[0]), (for_b, networks[0], questions[1])):
        expected = network(asked).detach()
        assert found.logits_NC.shape == (len(asked), 3)
        assert (found.logits_NC - (expected - expected.mean(1, keepdim=True))).abs().max() < 0.5
    assert for_a.cost.bytes_sent == for_b.cost.bytes_received > 0
    assert (for_a.cost.dealer_bytes > 0) == (scheme == "lean")
    assert networks[0].training


def test_one_exchange_of_values() -> None:
    """Networks of one output answer with it, as it is up to noise; differences of it there are none."""
    torch.manual_seed(0)
    networks = build((1, 4, 4), 1), build((1, 4, 4), 1)
    questions = (torch.randn(5, 1, 4, 4), torch.randn(3, 1, 4, 4))
    answers = smule.exchange(networks, questions, opening="values")
    for found, network, asked in zip(answers, networks[::-1], questions, strict=True):
        assert (found.logits_NC - network(asked).detach()).abs().max() < 0.2


def test_exchanges_that_cannot_be() -> None:
    """Refused before a process is started, in one line."""
    network, one = build((1, 4, 4), 3), torch.ones(1, 1, 4, 4)
    for questions, text in (
        ((one, torch.ones(1, 1, 2, 2)), "use one size"),
        ((one, torch.ones(0, 1, 4, 4)), "party b: have shape"),
        ((one, torch.ones(1, 1, 4, 4, dtype=torch.uint8)), "party b: are torch.uint8"),
        ((one * float("nan"), one), "not finite"),
    ):
        with pytest.raises(DataError, match=text):
            smule.exchange((network, network), questions)
    with pytest.raises(ConfigError, match="leen"):
        smule.exchange((network, network), (one, one), scheme="leen")
    with pytest.raises(ConfigError, match="opening=logits: choose differences or values"):
        smule.exchange((network, network), (one, one), opening="logits")  # type: ignore[arg-type]
    single = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(one[0].numel(), 1))
    with pytest.raises(UnshareableModelError, match=r"the output .* it is one number"):
        smule.exchange((single, single), (one, one))
    with pytest.raises(ConfigError, match="answers=1"):
        smule.exchange((network, network), (one, torch.ones(2, 1, 4, 4)), answers=1)
    with pytest.raises(UnshareableModelError, match="Sigmoid"):
        smule.exchange((network, torch.nn.Sequential(network, torch.nn.Sigmoid())), (one, one))


def test_a_process_of_an_exchange_fails() -> None:
    """The line of the process that failed is the line of the error."""
    one = torch.ones(4, 1, 4, 4)
    network = torch.nn.Sequential(build((1, 4, 4), 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    with pytest.raises(PartyFailedError, match="hiding the rounding"):
        smule.exchange((network, network), (one, one), answers=10**30)
