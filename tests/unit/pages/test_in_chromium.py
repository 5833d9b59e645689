"""The pages as a browser shows them: on a phone, in the dark, on paper, and following a run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from chromium import measured, needs_chromium, run
from judged import judged
from run_files import write_finished, write_running

from smule_crypten.pages.live import LivePage
from smule_crypten.pages.report_page import render_report
from smule_crypten.pages.serving import LiveServer
from smule_crypten.report.run_records import RunRecord

pytestmark = needs_chromium

_LOOK = """(() => {
  document.querySelectorAll("details").forEach((each) => { each.open = true; });
  const box = (element) => element.getBoundingClientRect();
  const alone = document.querySelector(".headline td:nth-child(3)");
  return {
    window: innerWidth,
    page: document.documentElement.scrollWidth,
    smule: box(alone).right,
    plots: [...document.querySelectorAll("figure svg")].map((plot) => box(plot).right),
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    line: getComputedStyle(document.querySelector("figure path[style*=party]")).stroke,
    fetched: performance.getEntriesByType("resource").length,
    silent: [...document.querySelectorAll("figure")].filter((one) => !one.getAttribute("aria-label")).length,
  };
})()"""


@pytest.mark.parametrize(
    ("dark", "paper", "ink", "line"),
    [
        (True, "rgb(20, 24, 28)", "rgb(230, 234, 237)", "rgb(74, 163, 220)"),
        pytest.param(False, "rgb(255, 255, 255)", "rgb(27, 33, 38)", "rgb(0, 114, 178)", marks=pytest.mark.slow),
    ],
)
def test_on_a_phone(record: RunRecord, tmp_path: Path, dark: bool, paper: str, ink: str, line: str) -> None:
    """At 400 pixels nothing is wider than the page, all details open; colors follow the reader's choice, those of
    lines too; nothing is fetched; each plot says what it shows."""
    look = measured(tmp_path, render_report(judged(record)), _LOOK, width=400, dark=dark)
    assert look["window"] == 400
    assert look["page"] <= 400
    assert max(look["smule"], *look["plots"]) <= 400
    assert (look["fetched"], look["silent"]) == (0, 0)
    assert (look["paper"], look["ink"], look["line"]) == (paper, ink, line)


def test_the_live_page_follows_the_run(record_of_a: RunRecord, tmp_path: Path) -> None:
    """Its script may run and fetch under the page's own rules: once loaded, it shows an epoch that was not there."""

    class Growing(LivePage):
        """The run goes on as soon as the page has been loaded."""

        def fragment(self) -> str:
            write_running(tmp_path / "run", record_of_a, epochs=5)
            return super().fragment()

    write_running(tmp_path / "run", record_of_a, epochs=2)
    with LiveServer(Growing(tmp_path / "run")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            shown = run(tmp_path, server.url, "--virtual-time-budget=8000", "--dump-dom")
        finally:
            server.shutdown()
            thread.join()
    assert "Running: a SMuLe, epoch 2 of 3" in shown
    assert " ago</time>" in shown


@pytest.mark.slow
def test_print_unfolds_the_details(record: RunRecord, tmp_path: Path) -> None:
    """On paper nobody can open them. Without them the page is one sheet or two."""
    html = render_report(judged(record))
    folded = html.replace("details::details-content {", "details::none {")
    assert folded != html
    sheets = {}
    for name, text in (("unfolded", html), ("folded", folded)):
        page, pdf = tmp_path / f"{name}.html", tmp_path / f"{name}.pdf"
        page.write_text(text, encoding="utf-8")
        run(tmp_path, page.as_uri(), f"--print-to-pdf={pdf}")
        sheets[name] = pdf.read_bytes().count(b"/Type /Page\n")
    assert 1 <= sheets["folded"] <= 2
    assert sheets["unfolded"] >= 5


@pytest.mark.slow
def test_the_live_page_of_a_finished_run_on_a_phone(record: RunRecord, tmp_path: Path) -> None:
    """It is no wider than the report."""
    write_finished(tmp_path / "run", record)
    page, _ = LivePage(tmp_path / "run").whole()
    assert measured(tmp_path, page, "[innerWidth, document.documentElement.scrollWidth]", width=400) == [400, 400]
