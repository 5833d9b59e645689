from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def _small_work(one_thread: None) -> None:
    """All networks here are tiny."""
