"""One suite from start to end: its cases, results.json, the page, and what the terminal shows."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.files import LOCK_FILE, exclusive, write_atomic
from smule_crypten.party.environment import describe_hardware, describe_versions
from smule_crypten.report.benchmark import markdown, render_benchmark, terminal_tables
from smule_crypten.report.benchmark_plots import accuracy_figure
from smule_crypten.report.suite_records import Findings, SuiteResults
from smule_crypten.report.svg import to_svg_file
from smule_crypten.suites.alarm import run_alarm
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.disclosure import run_disclosure
from smule_crypten.suites.exchanges import run_link, run_scaling, run_schemes
from smule_crypten.suites.learning import run_learning
from smule_crypten.suites.methods import run_methods
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.poisoning import run_poisoning
from smule_crypten.suites.privacy import run_privacy
from smule_crypten.suites.published import published_figures

RESULTS_FILE = "results.json"
PAGE_FILE = "results.html"
MARKDOWN_FILE = "results.md"
FIGURE_FILE = "accuracy.svg"
_SIMULATED: dict[str, Callable[[SuiteConfig, RunConfig, CaseStore], Findings]] = {
    "learning": run_learning,
    "poisoning": run_poisoning,
    "alarm": run_alarm,
    "disclosure": run_disclosure,
    "privacy": run_privacy,
}
"""Those that run both parties in this process, in the clear."""


def run_suite(
    suite: SuiteConfig,
    run: RunConfig,
    schemes: Mapping[str, SchemeConfig],
    folder: Path,
    command: Sequence[str],
    console: Console,
) -> SuiteResults:
    """Run what is not yet in folder, and write the results there.

    As JSON, HTML, Markdown and, where networks were trained, accuracy by bytes as SVG.

    Args:
        schemes: settings of each scheme by name.
        command: as the user gave it, for the record.

    Raises:
        SmuleError: anything a user can cause; finished cases stay.
        KeyboardInterrupt: likewise.
    """
    unknown = sorted(set(suite.schemes) - set(schemes))
    if unknown:
        raise ConfigError(f"suite.schemes: no scheme is called {unknown[0]!r}; known: {', '.join(sorted(schemes))}")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / LOCK_FILE, str(folder), if_taken="set another folder (hydra.run.dir)"):
        return _run_missing_cases(suite, run, schemes, folder, command, console)


def _run_missing_cases(
    suite: SuiteConfig,
    run: RunConfig,
    schemes: Mapping[str, SchemeConfig],
    folder: Path,
    command: Sequence[str],
    console: Console,
) -> SuiteResults:
    store = CaseStore(folder, lambda text: console.print(Text(text), soft_wrap=True))
    match suite.name:
        case "methods" | "headline":
            found = run_methods(suite, run, schemes, store, console)
        case "schemes":
            found = run_schemes(suite, run, schemes, store)
        case "scaling":
            found = run_scaling(suite, run, schemes, store)
        case "link":
            found = run_link(suite, run, schemes, store)
        case _:
            found = _SIMULATED[suite.name](suite, run, store)
    if suite.name in ("methods", "headline", "schemes", "scaling"):
        found.tables.append(published_figures())
    results = SuiteResults(
        **vars(found),
        suite=suite.name,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=list(command),
        commit=_commit(),
        versions=describe_versions(),
        hardware=describe_hardware(run.device),
        insecure_choices=list(run.insecure_choices),
        config={"suite": suite.model_dump(mode="json"), "run": run.model_dump(mode="json")},
    )
    _write(folder / RESULTS_FILE, results.model_dump_json(indent=2))
    _write(folder / PAGE_FILE, render_benchmark(results))
    _write(folder / MARKDOWN_FILE, markdown(results))
    if results.curves:
        _write(folder / FIGURE_FILE, to_svg_file(accuracy_figure(results.curves, "bytes")).decode())
    console.print(terminal_tables(results))
    console.print(f"{store.computed} case(s) run, {store.kept} kept from earlier calls; {folder}", soft_wrap=True)
    return results


def _write(path: Path, text: str) -> None:
    write_atomic(path, lambda file: file.write(text.encode()), public=True)


def _commit() -> str | None:
    """Of the repository that this package lies in, marked where files differ from it; None outside of one."""
    arguments = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
