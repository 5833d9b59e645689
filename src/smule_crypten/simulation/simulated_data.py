"""One data set, divided between both parties of a simulation, as only its parent sees it."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.features.computing import Say
from smule_crypten.models.zoo import named_network
from smule_crypten.party.inputs import PartyInputs, inputs_of, load_party_inputs, with_target_constants
from smule_crypten.party.learner import learner_of
from smule_crypten.party.public_samples import load_bundle_and_pool
from smule_crypten.simulation.same_data import bundle_digest, require_same
from smule_crypten.training.learner import Holding, Learner
from smule_crypten.types import PARTY_NAMES

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SimulatedData:
    """What party a and party b hold. digest: by which every process finds out whether it has loaded the same."""

    parties: tuple[PartyInputs, PartyInputs]
    digest: str

    @property
    def bundle(self) -> DataBundle:
        return self.parties[0].bundle

    @property
    def test(self) -> Samples:
        return self.parties[0].test

    @property
    def pooled(self) -> Holding:
        """What both parties know the labels of, together."""
        first, second = self.parties
        return Holding(
            train=first.train.with_others(second.train),
            validation=first.validation.with_others(second.validation),
            pool=first.pool,
            test=first.test,
            public=first.public,
        )


def load_simulated_data(run: RunConfig, bundle: DataBundle | None = None, say: Say = log.info) -> SimulatedData:
    """Load and split the data set as the parties of a simulation do.

    Args:
        bundle: what load_bundle_and_pool has given for run, to load it once for many runs.
        say: hears how far features are.

    Raises:
        ConfigError, DataError: the data cannot be used, or a party has fewer samples than a batch.
    """
    if bundle is None:
        bundle = load_bundle_and_pool(run, say)
    first, second = (inputs_of(run.party(rank, "."), bundle) for rank in (0, 1))
    # One test set is enough for both.
    second = dataclasses.replace(second, test=first.test)
    return SimulatedData(parties=(first, second), digest=bundle_digest(bundle))


def with_named_networks(run: RunConfig, bundle: DataBundle) -> RunConfig:
    """What follows from the data: networks in place of "auto", and the scale of regression targets."""
    named = {
        f"party_{name}": section.model_copy(update={"model": named_network(section.model, bundle.input_shape)})
        for name, section in zip(PARTY_NAMES, (run.party_a, run.party_b), strict=True)
    }
    return run.model_copy(update={**named, "data": with_target_constants(run.data, bundle)})


def load_same_inputs(config: PartyConfig, expected: str | None) -> PartyInputs:
    """The data of one party of a simulation, in its process.

    Args:
        expected: digest of the data set that another process has loaded; another one is refused. None without one.

    Raises:
        ConfigError, DataError: as load_party_inputs.
    """
    inputs = load_party_inputs(config)
    if expected is not None:
        require_same(inputs.bundle, expected, config.data)
    return inputs


def simulated_parties(run: RunConfig, data: SimulatedData) -> tuple[Learner, Learner]:
    """Both parties of a run, to learn in this process (in_process.py).

    Raises:
        ConfigError: the device is not there.
    """
    first, second = (learner_of(run.party(rank, "."), inputs) for rank, inputs in enumerate(data.parties))
    return first, second


def pooled_learner(run: RunConfig, data: SimulatedData) -> Learner:
    """Party a's network, to be trained on the data of both parties: an upper bound that no party can reach alone."""
    first, _ = simulated_parties(run, data)
    return dataclasses.replace(first, name="pooled", holding=data.pooled)
