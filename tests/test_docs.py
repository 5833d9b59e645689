"""What the documentation shows runs, and what it lists is what the code says."""

from __future__ import annotations

import configparser
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import smule_crypten as smule
from smule_crypten.errors import INTERRUPTED_EXIT_CODE, SmuleError
from smule_crypten.models.zoo import build_model

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "smule_crypten"
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("benchmarks/**/*.md"), *PACKAGE.glob("*.md")]
MAP = (PACKAGE / "README.md").read_text(encoding="utf-8")


def scripts_of(page: str) -> dict[str, str]:
    """Heading -> the Python blocks below it, joined."""
    sections = re.split(r"^## ", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    blocks = {
        text.partition("\n")[0]: re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.M) for text in sections
    }
    return {heading: "\n".join(found) for heading, found in blocks.items() if found}


IN_THIS_PROCESS = ("library.md", "protocol.md", "develop/data-set.md", "develop/network.md", "develop/task.md")
EXAMPLES = [(page, heading) for page in IN_THIS_PROCESS for heading in scripts_of(page)]


@pytest.mark.parametrize(("page", "heading"), EXAMPLES)
def test_examples_run(page: str, heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example that a reader copies works."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "example.py"
    script.write_text(scripts_of(page)[heading], encoding="utf-8")
    with torch.random.fork_rng(devices=[]):
        runpy.run_path(str(script), run_name="__main__")


GUIDES = ("own-data.md", "own-network.md", "privacy.md")


def test_commands_of_guides_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `smule ...` of a guide is a configuration that there is: groups, choices, keys and values."""
    pages = "\n".join((DOCS / name).read_text(encoding="utf-8") for name in GUIDES)
    calls = [
        call for pair in re.findall(r"^(smule .*)$|`(smule [^`]*=[^`]*)`", pages, re.MULTILINE) for call in pair if call
    ]
    assert len(calls) > 7
    (code,) = re.findall(r"^```python\n# my_networks.py\n(.*?)^```", pages, re.DOTALL | re.MULTILINE)
    (tmp_path / "my_networks.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for call in calls:
        run = smule.configure(*shlex.split(call)[1:])
        if run.party_a.model.name == "target":
            network = build_model(run.party_a.model, (1, 8, 8), 10, seed=0)
            assert smule.translate(network, input_shape=(1, 8, 8)).architecture.output_shape == (10,)


def test_reference_has_the_front_door() -> None:
    """The page of the API shows each name of the front door once, and what tests of schemes need."""
    shown = re.findall(r"^::: smule_crypten\.([\w.]+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted({*smule.__all__, "testing.check_scheme", "testing.PartyPool"} - {"__version__"})


def test_develop_pages_have_code() -> None:
    """Each page on how to add something has an example, which the test above or the one below runs."""
    pages = sorted(page.name for page in DOCS.glob("develop/*.md"))
    assert pages == ["data-set.md", "network.md", "scheme.md", "task.md"]
    assert all(len(scripts_of(f"develop/{page}")) == 1 for page in pages)


@pytest.mark.slow
def test_scheme_page_runs(tmp_path: Path) -> None:
    """As a reader runs it: a script in a folder, beside the file that the first block says it is."""
    page = (DOCS / "develop" / "scheme.md").read_text(encoding="utf-8")
    (name, scheme), (_, script) = re.findall(r"^```python\n(?:# (\w+\.py)\n)?(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / name).write_text(scheme, encoding="utf-8")
    (tmp_path / "example.py").write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, "example.py"], cwd=tmp_path, check=True, timeout=300)


def test_library_page_has_its_examples() -> None:
    """The page did not lose its code, which the test above would not notice."""
    assert list(scripts_of("library.md")) == [
        "Simulate in five lines",
        "Own data, own network",
        "One exchange",
        "Train with a source of soft labels of your own",
        "Predict with a trained party",
        "Load a trained network",
    ]


def test_library_page_needs_the_front_door_only() -> None:
    """Who uses the library learns a dozen names, not where they stand inside: each section has one import of ours."""
    for heading, script in scripts_of("library.md").items():
        ours = [line for line in script.splitlines() if re.match(r"\s*(import|from) smule_crypten", line)]
        assert ours == ["import smule_crypten as smule"], heading


def test_five_lines_are_five() -> None:
    """The first thing that a stranger copies is as short as its heading says."""
    first, *_ = re.findall(r"^```python\n(.*?)^```", (DOCS / "library.md").read_text(), re.DOTALL | re.MULTILINE)
    assert sum(bool(line.strip()) for line in first.splitlines()) == 5


def subclasses(error: type[SmuleError]) -> list[type[SmuleError]]:
    return [error] + [found for child in error.__subclasses__() for found in subclasses(child)]


def test_exit_codes_are_documented() -> None:
    """docs/exit-codes.md lists every error of ours with its exit code."""
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|([^|]*)\|", text, re.MULTILINE)
    documented = {(name, int(code)) for code, names in rows for name in re.findall(r"`(\w+Error)`", names)}
    ours = [error for error in subclasses(SmuleError) if error.__module__ == "smule_crypten.errors"]
    assert documented == {(error.__name__, error.exit_code) for error in ours}
    assert {0, INTERRUPTED_EXIT_CODE} <= {int(code) for code, _ in rows}


def test_dependencies_are_documented() -> None:
    """docs/dependencies.md explains every package that setup.cfg requires, and no other."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    requirements = [line for line in settings["options"]["install_requires"].splitlines() if line.strip()]
    required = {re.split(r"[<>=]", line)[0] for line in requirements if not line.startswith("#")}
    text = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == required


def anchors_of(page: Path) -> set[str]:
    """What a link to a heading of the page may be called."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_are_alive(page: Path) -> None:
    """Each link to a file of the repository, or to a heading in one, leads somewhere."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            dead.append(target)
    assert dead == []


PAGES_OF_TODAY = [
    page for page in PAGES if page.name != "CHANGELOG.md" and page.parent.name not in ("results", "history")
]


@pytest.mark.parametrize("page", PAGES_OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_modules_exist(page: Path) -> None:
    """A page that names `room/module.py` names one that is there; only the changelog and results may tell of what is
    gone."""
    named = re.findall(r"`([\w./]+/\w+\.py)(?:::\w+)?`", page.read_text(encoding="utf-8"))
    assert [path for path in named if not any((folder / path).exists() for folder in (ROOT, PACKAGE))] == []


def files_on(way: str) -> tuple[int, list[str]]:
    """How many files the map says that a way passes, and those that it draws: "a/b.py, c.py" are both in a/."""
    match = re.search(rf"^## The way of a {way}: (\d+) files$.*?^```text\n(.*?)^```", MAP, re.DOTALL | re.MULTILINE)
    assert match is not None
    files, folder = [], ""
    for path in re.findall(r"[\w/]*\w\.py", match[2]):
        folder = path.rpartition("/")[0] if "/" in path else folder
        files.append(path if "/" in path or not (PACKAGE / folder / path).exists() else f"{folder}/{path}")
    return int(match[1]), files


@pytest.mark.parametrize("way", ["query", "weight"])
def test_ways_are_counted(way: str) -> None:
    """The map draws as many files as it says, each of them there; inference/scheme.py, say, may stand twice."""
    number, files = files_on(way)
    assert [path for path in files if not (PACKAGE / path).is_file()] == []
    assert len(set(files)) == number


def test_map_names_every_room() -> None:
    """Each folder of the package is a row of the map, and each row a folder."""
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"launch", "conf"}
    rows = re.findall(r"^\| (`\w+/`.*?) \|", MAP, re.MULTILINE)
    assert {room for row in rows for room in re.findall(r"`(\w+)/`", row)} == rooms


def test_results_have_one_page_a_theme() -> None:
    """The index names every page of results once among the current ones, or in its history, and no two of one name."""
    current, _, history = (RESULTS / "README.md").read_text(encoding="utf-8").partition("\n## History\n")
    rows = re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", current, re.MULTILINE)
    assert sorted(rows) == sorted(page.name for page in RESULTS.glob("*.md") if page.name != "README.md")
    themes = [re.sub(r"_(amd|intel)-.*", "", name) for name in rows]
    assert len(set(themes)) == len(themes)
    past = re.findall(r"^\| \[[^]]+\]\(history/([^)]+)\) \|", history, re.MULTILINE)
    assert sorted(past) == sorted(page.name for page in RESULTS.glob("history/*.md"))


@pytest.mark.parametrize("page", sorted(RESULTS.glob("history/*.md")), ids=lambda page: page.stem)
def test_superseded_results_say_so(page: Path) -> None:
    """Below its title stands by which current page, and why."""
    title, _, note, *_ = page.read_text(encoding="utf-8").split("\n")
    assert title.startswith("# ")
    assert re.match(r"> \*\*Superseded\*\* by \[.*\]\(\.\./\w[^/]*\.md\).*: \w.*\.$", note)
