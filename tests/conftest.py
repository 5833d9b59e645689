"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from smule_crypten.testing import PartyPool


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The workers of pytest share the cores. Threads of theirs wait for one another, spinning: up to fifty times the
    processor time for networks on small images."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pool() -> Iterator[PartyPool]:
    """Two party processes, started once for the whole test run."""
    with PartyPool() as parties:
        yield parties
