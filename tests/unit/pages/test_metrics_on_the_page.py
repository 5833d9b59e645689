"""Metrics with their intervals on the page of a run."""

from __future__ import annotations

from html_pages import Page
from judged import judged, of_regression

from smule_crypten.pages.plots import learning_svg
from smule_crypten.pages.report_page import render_report
from smule_crypten.report.run_records import RunRecord


def test_the_page_shows_all_of_it(record: RunRecord) -> None:
    """Every metric of every network, gains, each class, ROC and reliability curves, confusions, and what they mean."""
    html = render_report(judged(record))
    assert {"metrics", "reading"} <= {attributes["id"] for attributes in Page(html).all("section")}
    for figure in ("roc-a-", "reliability-b-", "confusion-b-"):
        assert f'id="{figure}' in html
    page = Page(html).text
    for text in (
        "92.0 % (89.0–95.0)",
        "+1.0 (+0.5 to +1.5)",
        "-0.5 (no clear gain)",
        "balanced accuracy",
        "gain of SMuLe over",
        "Each class at party a, with SMuLe",
        "2: <adder>",
        "0.910",
        "Youden",
    ):
        assert text in page, text


def test_the_page_of_a_regression(record: RunRecord) -> None:
    """Errors in the units of the data, and nothing of classes."""
    page = Page(render_report(of_regression(record))).text
    assert "54.3 (50.3–58.3)" in page
    assert "test RMSE" in page
    assert "+0 (no clear gain)" in page
    for text in ("Each class", "ROC curves of", "Confusions of"):
        assert text not in page


def test_the_page_of_a_run_without_metrics(record: RunRecord) -> None:
    """It says that there are none."""
    assert "None was recorded." in render_report(record)


def test_epochs_of_an_older_file_are_drawn(record: RunRecord) -> None:
    """They know their accuracy alone."""
    assert "test accuracy (%)" in learning_svg(record.epochs, ("a",), "accuracy", 3)


def test_another_metric_on_the_page(record: RunRecord) -> None:
    """Sentences, plots and tables say the name of the run's metric, and no other one's."""
    record = judged(record)
    record.facts = record.facts.model_copy(update={"metric": "auroc"})
    page = Page(render_report(record)).text
    assert "By test AUROC, party a reaches 0.530 with party b’s answers" in page
    assert "Test AUROC after each epoch" in page
    assert "test accuracy (%)" not in page
