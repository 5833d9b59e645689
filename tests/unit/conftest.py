"""Fixtures for the unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from sample_run import partial_sample_record, sample_record, sample_record_of_a

from smule_crypten.report.run_records import RunRecord


@pytest.fixture
def repeatable() -> Iterator[None]:
    """The same initial weights in each run of a test."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def record() -> RunRecord:
    """The sample record, for the test to change; so are the two below."""
    return sample_record()


@pytest.fixture
def record_of_a() -> RunRecord:
    return sample_record_of_a()


@pytest.fixture
def partial_record() -> RunRecord:
    return partial_sample_record()
