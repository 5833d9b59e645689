from __future__ import annotations

import pytest
from party_configs import party
from pydantic import ValidationError

from smule_crypten.config.config_reading import parse
from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import AttackConfig, DataConfig, ProviderConfig, SchemeConfig
from smule_crypten.errors import ConfigError


def public(mean: tuple[float, ...], class_names: tuple[str, ...] | None = None) -> ProtocolConfig:
    return ProtocolConfig.from_party(party(data=DataConfig(name="npz", mean=mean)), (3, 8, 8), 2, class_names, {})


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


REMOTE = {"address": "peer:1", "certificate": "peer.pem"}
ALONE = ConnectionConfig.model_validate(
    {"certificate": "own.pem", "key": "own.key", "listen": "0.0.0.0:1", "peer": REMOTE}
)
NETWORK = ConnectionConfig.model_validate(ALONE.model_dump() | {"dealer": REMOTE})
"""With a dealer."""


def test_no_attack_between_hosts() -> None:
    """Attacks are for simulation: a party with a network address refuses to be an adversary."""
    party(connection=NETWORK)
    with pytest.raises(ValidationError, match="attack=backdoor: refused between hosts"):
        party(connection=NETWORK, attack=AttackConfig(name="backdoor"))


@pytest.mark.parametrize("needs_dealer", [True, False])
def test_a_new_scheme_that_protects_nothing_is_refused_between_hosts(
    monkeypatch: pytest.MonkeyPatch, needs_dealer: bool
) -> None:
    """What a scheme protects from is read from the table, whatever it is called."""
    traits = SchemeTraits(adversary="none", needs_dealer=needs_dealer)
    monkeypatch.setitem(SCHEME_TRAITS, "open_shares", traits)
    scheme = SchemeConfig(name="open_shares")
    for connection in (NETWORK, ALONE):
        with pytest.raises(
            ValidationError, match="scheme=open_shares: refused between hosts, since it gives no protection"
        ):
            party(connection=connection, scheme=scheme, allow_insecure=True)
    with pytest.raises(ValidationError, match="scheme=open_shares: simulation only, gives no protection"):
        party(scheme=scheme)
    simulated = party(scheme=scheme, allow_insecure=True)
    assert (simulated.insecure_choices, simulated.needs_dealer) == (("scheme=open_shares",), needs_dealer)


def test_a_new_scheme_that_protects_runs_between_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whether a dealer takes part follows from the table, too."""
    monkeypatch.setitem(SCHEME_TRAITS, "garbled", SchemeTraits(adversary="semi-honest", needs_dealer=False))
    assert not party(connection=ALONE, scheme=SchemeConfig(name="garbled")).needs_dealer


def test_a_dealer_is_there_where_the_scheme_needs_one_and_nowhere_else() -> None:
    """One line says what is too much or missing, and which scheme goes without or with it."""
    two = SchemeConfig(name="two_party")
    assert party(connection=ALONE, scheme=two).deals is None
    with pytest.raises(ConfigError, match=r"^connection\.dealer: scheme=two_party has no dealer, .*; leave it out, or"):
        parse(PartyConfig, party(connection=ALONE, scheme=two).model_dump() | {"connection": NETWORK.model_dump()})
    with pytest.raises(ConfigError, match=r"^connection\.dealer: scheme=crypten needs a dealer; .* scheme=two_party"):
        parse(PartyConfig, party(connection=NETWORK).model_dump() | {"connection": ALONE.model_dump()})


def test_nobody_deals_for_two_parties_alone() -> None:
    """Where nothing is dealt, who deals is no question; elsewhere leaving it out stands for the dealer."""
    with pytest.raises(ValidationError, match="provider=dealer: scheme=two_party has none; leave it out"):
        party(scheme=SchemeConfig(name="two_party"), provider=ProviderConfig(name="dealer"))
    named, left_out = party(provider=ProviderConfig(name="dealer")), party()
    assert (named.deals, left_out.deals) == ("dealer", "dealer")
    first, second = (ProtocolConfig.from_party(each, (3, 8, 8), 2, None, {}) for each in (named, left_out))
    assert first.digest() == second.digest()


def test_an_unknown_scheme_is_refused_at_once() -> None:
    """A scheme of which nothing is known is not taken for one that protects."""
    with pytest.raises(ConfigError, match=r"^scheme\.name: no scheme is called 'leam' \(did you mean lean\?"):
        party(scheme=SchemeConfig(name="leam"))
