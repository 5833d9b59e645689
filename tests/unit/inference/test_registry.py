from __future__ import annotations

import pytest

from smule_crypten.config.schemes import SCHEME_TRAITS
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.registry import DEALT, SCHEMES, scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme


def test_names_of_the_configuration() -> None:
    """`scheme=crypten`, `scheme=lean` and `scheme=plaintext` are fixed names; each finds its class."""
    assert scheme_class("crypten") is CryptenScheme
    assert scheme_class("lean") is LeanScheme
    assert scheme_class("plaintext") is PlaintextScheme


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_schemes_say_what_they_protect_against(scheme: type[SecureInferenceScheme]) -> None:
    """The table alone decides where a scheme may run: each class has the row of its name, and no other claims."""
    assert SCHEMES[scheme.name] is scheme
    assert scheme.traits is SCHEME_TRAITS[scheme.name]
    assert PlaintextScheme.traits.is_insecure


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "crypton",
            r"no scheme is called 'crypton' \(did you mean crypten\? known: crypten, lean, plaintext, two_party\)",
        ),
        ("xyz", r"no scheme is called 'xyz' \(known: crypten, lean, plaintext, two_party\)"),
        ("", r"no scheme is called ''"),
        ("__class__", "no scheme is called '__class__'"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    """One line with the known names, and the likeliest one where there is one."""
    with pytest.raises(ConfigError, match=message):
        scheme_class(name)


def test_the_dealer_knows_every_scheme_that_needs_one() -> None:
    """What the parties can choose, the dealer deals in the same version's way, and nothing else."""
    assert {name: scheme.deal for name, scheme in SCHEMES.items() if scheme.traits.needs_dealer} == DEALT
    assert set(SCHEME_TRAITS) == set(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_unknown_options_are_refused(scheme: type[SecureInferenceScheme]) -> None:
    """An option that a scheme does not know would have no effect, and nobody would notice."""
    scheme.check_options(SchemeConfig(name=scheme.name))
    with pytest.raises(ConfigError, match=r"^scheme\.options\.ring_bit: unknown option .*"):
        scheme.check_options(SchemeConfig(name=scheme.name, options={"ring_bit": 32}))
