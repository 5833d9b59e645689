"""Fixtures of the protocol tests."""

from __future__ import annotations

import pytest
from loopback import People


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Keys and certificates of those who know each other, and of a stranger."""
    return People(tmp_path_factory.mktemp("people"))
