"""Name -> class, for each row of config/schemes.py. A new scheme is a class, and a row in either table."""

from __future__ import annotations

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.inference.two_party.scheme import TwoPartyScheme

_CLASSES: tuple[type[SecureInferenceScheme], ...] = (CryptenScheme, LeanScheme, PlaintextScheme, TwoPartyScheme)
SCHEMES = {scheme.name: scheme for scheme in _CLASSES}

DEALT = {name: scheme.deal for name, scheme in SCHEMES.items() if scheme.traits.needs_dealer}
"""How the dealer deals for each scheme that needs one."""


def scheme_class(name: str) -> type[SecureInferenceScheme]:
    """The scheme of that name.

    Raises:
        ConfigError: unknown name; lists the known ones.
    """
    scheme_traits(name)
    return SCHEMES[name]
