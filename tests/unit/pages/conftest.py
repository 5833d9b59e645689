from __future__ import annotations

import pytest
from sample_run import sample_record

from smule_crypten.pages.report_page import render_report


@pytest.fixture(scope="session")
def report_html() -> str:
    """The page of the sample record, rendered once for all tests that only look at it."""
    return render_report(sample_record())
