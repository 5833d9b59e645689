"""Fixtures for the unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def repeatable() -> Iterator[None]:
    """The same initial weights in each run of a test."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
