"""One suite from start to end: its cases, results.json, the page, and what the terminal shows."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from smule_crypten.config.run import RunConfig
from smule_crypten.config.schemes import SCHEME_TRAITS
from smule_crypten.errors import ConfigError
from smule_crypten.files import LOCK_FILE, exclusive, write_text
from smule_crypten.models.zoo import AUTO
from smule_crypten.party.environment import describe_hardware, describe_versions
from smule_crypten.party.featured import load_bundle
from smule_crypten.report.svg import to_svg_file
from smule_crypten.simulation.simulated_data import with_named_networks
from smule_crypten.suites.alarm import run_alarm
from smule_crypten.suites.benchmark import markdown, render_benchmark, terminal_tables
from smule_crypten.suites.benchmark_plots import accuracy_figure
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.disclosure import run_disclosure
from smule_crypten.suites.exchanges import run_link, run_scaling, run_schemes
from smule_crypten.suites.figures import run_figures
from smule_crypten.suites.learning import run_learning
from smule_crypten.suites.methods import run_methods
from smule_crypten.suites.options import SuiteConfig, SuiteName
from smule_crypten.suites.poisoning import run_poisoning
from smule_crypten.suites.privacy import run_privacy
from smule_crypten.suites.published import published_figures
from smule_crypten.suites.suite_records import Findings, SuiteResults

RESULTS_FILE = "results.json"
PAGE_FILE = "results.html"
MARKDOWN_FILE = "results.md"
FIGURE_FILE = "accuracy.svg"
_SUITES: dict[SuiteName, Callable[[SuiteConfig, RunConfig, CaseStore], Findings]] = {
    "methods": run_methods,
    "headline": run_methods,
    "schemes": run_schemes,
    "scaling": run_scaling,
    "link": run_link,
    "learning": run_learning,
    "poisoning": run_poisoning,
    "alarm": run_alarm,
    "disclosure": run_disclosure,
    "privacy": run_privacy,
    "figures": run_figures,
}
_BESIDE_OTHERS = ("methods", "headline", "schemes", "scaling")
"""Shown with the published figures of other systems."""


def run_suite(
    suite: SuiteConfig, run: RunConfig, folder: Path, command: Sequence[str], console: Console
) -> SuiteResults:
    """Run what is not yet in folder, and write the results there.

    As JSON, HTML, Markdown and, where networks were trained, accuracy by bytes as SVG.

    Args:
        command: as the user gave it, for the record.

    Raises:
        SmuleError: anything a user can cause; finished cases stay.
        KeyboardInterrupt: likewise.
    """
    unknown = sorted(set(suite.schemes) - set(SCHEME_TRAITS))
    if unknown:
        known = ", ".join(sorted(SCHEME_TRAITS))
        raise ConfigError(f"suite.schemes: no scheme is called {unknown[0]!r}; known: {known}")
    if run.task != "classification" and suite.name != "figures":
        raise ConfigError(
            f"task={run.task}: suite {suite.name} compares how often classes are right; run suite=figures instead"
        )
    if AUTO in (run.party_a.model.name, run.party_b.model.name) and not suite.settings:
        run = with_named_networks(run, load_bundle(run))
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / LOCK_FILE, str(folder), if_taken="set another folder (hydra.run.dir)"):
        store = CaseStore(folder, console)
        results = _results(suite, run, store, command)
        _write_all(folder, results)
        console.print(terminal_tables(results))
        store.say(f"{store.computed} case(s) run, {store.kept} kept from earlier calls; {folder}")
    return results


def _results(suite: SuiteConfig, run: RunConfig, store: CaseStore, command: Sequence[str]) -> SuiteResults:
    found = _SUITES[suite.name](suite, run, store)
    if suite.name in _BESIDE_OTHERS:
        found.tables.append(published_figures())
    return SuiteResults(
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


def _write_all(folder: Path, results: SuiteResults) -> None:
    write_text(folder / RESULTS_FILE, results.model_dump_json(indent=2), public=True)
    write_text(folder / PAGE_FILE, render_benchmark(results), public=True)
    write_text(folder / MARKDOWN_FILE, markdown(results), public=True)
    if results.curves:
        write_text(folder / FIGURE_FILE, to_svg_file(accuracy_figure(results.curves, "bytes")), public=True)


def _commit() -> str | None:
    """Of the repository that this package lies in, marked where files differ from it; None outside of one."""
    arguments = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
