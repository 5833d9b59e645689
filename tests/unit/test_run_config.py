from __future__ import annotations

import pytest
from party_configs import party
from pydantic import ValidationError

from smule_crypten.config import AttackConfig, DataConfig
from smule_crypten.network_config import NetworkConfig
from smule_crypten.run_config import ProtocolConfig


def public(mean: tuple[float, ...], class_names: tuple[str, ...] | None = None) -> ProtocolConfig:
    return ProtocolConfig.from_party(party(data=DataConfig(name="npz", mean=mean)), (3, 8, 8), 2, class_names)


@pytest.mark.parametrize("mean", [(0.5,), (0.5, 0.5, 0.5)])
def test_one_value_for_all_channels_is_one_a_channel(mean: tuple[float, ...]) -> None:
    """Two ways of writing the same normalization are no difference between the parties."""
    assert public(mean).data.mean == (0.5, 0.5, 0.5)


def test_digest_covers_classes_and_normalization() -> None:
    """Parties that differ in the order of classes or the scale of images cannot come to the same digest."""
    configs = [
        public((0.5,)),
        public((0.4,)),
        public((0.5,), ("ant", "bee")),
        public((0.5,), ("bee", "ant")),
    ]
    assert len({config.digest() for config in configs}) == 4


def test_no_attack_between_hosts() -> None:
    """Attacks are for simulation: a party with a network address refuses to be an adversary."""
    remote = {"address": "peer:1", "certificate": "peer.pem"}
    network = NetworkConfig.model_validate(
        {"certificate": "own.pem", "key": "own.key", "listen": "0.0.0.0:1", "peer": remote, "dealer": remote}
    )
    party(network=network)
    with pytest.raises(ValidationError, match="attack=backdoor: refused between hosts"):
        party(network=network, attack=AttackConfig(name="backdoor"))
