from __future__ import annotations

import re
from pathlib import Path

import pytest
from html_pages import Page

from smule_crypten.errors import OutputError
from smule_crypten.pages.report_page import render_report, write_report
from smule_crypten.report.records import AlarmRecord, DisclosureRecord
from smule_crypten.report.run_records import AttackRecord, RunRecord

SVG_NAMESPACES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")


def test_the_page_needs_nothing_from_elsewhere(report_html: str) -> None:
    """The report can be mailed and opened offline, and opening it tells nobody: no address, source or script."""
    html = report_html
    for namespace in SVG_NAMESPACES:
        html = html.replace(f'"{namespace}"', '""')
    assert not re.search(r"https?:|\bsrc=|<script|<link|@import|url\((?!#)", html)


def test_the_page_is_well_formed(report_html: str) -> None:
    """Every element is closed in order, and no id is used twice."""
    page = Page(report_html)
    assert page.open_elements == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_sections_show_the_numbers(report_html: str) -> None:
    """Result, traffic, fidelity, split, ledger, configuration and environment are on the page."""
    text = Page(report_html).text
    for fact in (
        "simulation only: gives no protection (provider=trusted_first_party)",
        "Best control: party a: self mutual, party b: alone (better than SMuLe).",
        "Pooled data: 96.0 %",
        "150 in 2 of 3 epochs",
        "5,000,000",
        "33.33 kB per query",
        "top-1 agrees on 98.00 %",
        "200 answers in 2 exchanges",
        "250 charged, repeated attempts with them, 0 before this run; 50 of 300 left. 1 of 2 repeats used.",
        "scheme.precision_bits",
        "Example CPU",
        "2.13.0",
        "How to read this",
    ):
        assert fact in text, fact


def test_text_from_outside_is_escaped(record: RunRecord) -> None:
    """A name in the configuration, a record or an error cannot become markup."""
    attack = '<script>alert("x")</script>'
    record.settings["path"] = record.settings[attack] = attack
    entry = DisclosureRecord(query_id=1, to_party=attack, num_samples=1, model_step=1)
    of_a, of_b = {"architecture": attack, "bytes_by_layer": {attack: 5}}, {"bytes_by_phase": {attack: 5}}
    record.parties["a"] = record.parties["a"].model_copy(update=of_a)
    record.parties["b"] = record.parties["b"].model_copy(update={**of_b, "disclosures": [entry]})
    named = {"run_id": attack, "insecure_choices": [attack], "versions": {"torch": attack}, "hardware": {"cpu": attack}}
    record.facts = record.facts.model_copy(update=named)
    record.status, record.error = "failed", attack
    html = render_report(record)
    assert "<script" not in html
    assert Page(html).text.count(attack) >= 10


def test_a_partial_record_still_has_a_page(partial_record: RunRecord) -> None:
    """The report of a failed run says that it failed and why, and shows what is known."""
    text = Page(render_report(partial_record)).text
    assert "This run is not complete. failed: party b: out of memory" in text
    assert "Not measured" in text


def test_a_run_that_failed_at_once_still_has_a_page(partial_record: RunRecord) -> None:
    """Nothing at all but a configuration and an error is enough."""
    partial_record.epochs, partial_record.parties = [], {}
    assert "No SMuLe epoch was finished." in Page(render_report(partial_record)).text


def test_the_file_holds_the_page_and_nothing_that_changes(tmp_path: Path, record: RunRecord, report_html: str) -> None:
    """report.html is written whole, and the same record gives the same page: no date, no random ids in the figures."""
    path = write_report(tmp_path, record)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == report_html
    assert report_html.startswith("<!DOCTYPE html>")
    assert report_html.endswith("</html>\n")


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path, partial_record: RunRecord) -> None:
    """Users get one line and the documented exit code."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "file", partial_record)


def test_attack_and_alarms_are_banners(record: RunRecord) -> None:
    """Neither can be overlooked, and neither is there without cause."""
    assert "adversary" not in Page(render_report(record)).text
    record.attack = AttackRecord(name="answers", party="b")
    alarm = AlarmRecord(
        exchange=2, test="drop", suspects=[2], evidence="5 of 100 answers are right", p_value=1e-9, limit=1e-4
    )
    record.parties["a"] = record.parties["a"].model_copy(update={"alarms": [alarm]})
    text = Page(render_report(record)).text
    assert "simulated attack: party b is an adversary (answers)." in text
    assert "party a, exchange 2, drop: 5 of 100 answers are right" in text
