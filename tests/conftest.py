"""Fixtures for all tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import torch

from smule_crypten.testing import PartyPool


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The workers of pytest share the cores. Threads of theirs wait for one another, spinning: up to fifty times the
    processor time for networks on small images."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that a test calls in its own process decides where the package's log goes from then on."""
    package = logging.getLogger("smule_crypten")
    level, handlers, propagate = package.level, list(package.handlers), package.propagate
    yield
    package.setLevel(level)
    package.handlers, package.propagate = handlers, propagate


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What needs a GPU says so where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device is at hand")


@pytest.fixture(scope="session")
def pool() -> Iterator[PartyPool]:
    """Two party processes, started once for the whole test run."""
    with PartyPool() as parties:
        yield parties
