"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smule_crypten.testing import PartyPool


@pytest.fixture(scope="session")
def pool() -> Iterator[PartyPool]:
    """Two party processes, started once for the whole test run."""
    with PartyPool() as parties:
        yield parties
