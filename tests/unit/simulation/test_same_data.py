"""Digests of data sets: what they look at, and that they stay on one machine."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from party_configs import party

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import DataError, HandshakeError
from smule_crypten.mutual_learning.handshake import agree_on_start
from smule_crypten.party.hooks import Hooks
from smule_crypten.party.inputs import load_party_inputs
from smule_crypten.simulation.same_data import bundle_digest, comparing_data, require_same
from smule_crypten.simulation.simulated_data import load_same_inputs

DATA = DataConfig(name="digits")


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return load_data(DATA)


def changed(bundle: DataBundle, split: str, field: str) -> DataBundle:
    """One number of one split is another."""
    part = getattr(bundle, split)
    values = getattr(part, field).clone()
    values.view(-1)[0] += 1
    return dataclasses.replace(bundle, **{split: dataclasses.replace(part, **{field: values})})


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("field", ["inputs", "targets", "sample_ids"])
def test_every_part_counts(bundle: DataBundle, split: str, field: str) -> None:
    """Ids, labels and images of both splits."""
    with pytest.raises(DataError, match="two processes of this run read different samples"):
        require_same(changed(bundle, split, field), bundle_digest(bundle), DATA)
    require_same(load_data(DATA), bundle_digest(bundle), DATA)


def test_samples_that_change_places_count(bundle: DataBundle) -> None:
    """A training sample that is a test sample elsewhere; and other names of the classes."""
    swapped = DataBundle(bundle.test, bundle.train, bundle.class_names)
    assert bundle_digest(swapped) != bundle_digest(bundle)
    assert bundle_digest(dataclasses.replace(bundle, class_names=("x", *bundle.class_names[1:]))) != bundle_digest(
        bundle
    )


def test_both_parties_are_told(bundle: DataBundle) -> None:
    """Each sends its digest and compares; what is no digest is refused."""
    sent: list[object] = []

    def swap(message: object) -> object:
        sent.append(message)
        return {"completed": [2], "oldest": 0, "simulated_data": bundle_digest(bundle)}

    assert agree_on_start([1, 2], 0, comparing_data(party(), bundle, swap)) == 2
    assert sent == [{"completed": [1, 2], "oldest": 0, "simulated_data": bundle_digest(bundle)}]
    own = DataConfig(name="target", options={"_target_": "mine.load"})
    with pytest.raises(DataError, match=r"mine\.load gives each process other samples.*seed your loader"):
        comparing_data(party(data=own), changed(bundle, "test", "targets"), swap)({})
    for wrong in (None, {}, {"simulated_data": 3}):
        with pytest.raises(HandshakeError, match="did not say which data"):
            comparing_data(party(), bundle, lambda message, wrong=wrong: wrong)({})


def test_nothing_is_sent_between_hosts(bundle: DataBundle) -> None:
    """There each party has data of its own, and a digest of it is nothing that the other one may have."""
    sent: list[object] = []
    Hooks().swap(bundle, sent.append)({"completed": []})
    assert sent == [{"completed": []}]


def test_what_a_resumed_run_compares() -> None:
    """All parts of a party's data, test and validation included."""
    inputs = load_party_inputs(party())
    parts = (inputs.train, inputs.validation, inputs.pool, inputs.test)
    assert all(map(torch.Tensor.equal, [p.sample_ids for p in inputs.parts], [p.sample_ids for p in parts]))
    with pytest.raises(DataError, match="different samples"):
        load_same_inputs(party(), "of another")
