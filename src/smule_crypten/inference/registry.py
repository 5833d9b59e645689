"""The one table of schemes. A new scheme is a class, a row here, and its traits in scheme_table.py."""

from __future__ import annotations

from collections.abc import Mapping

from smule_crypten.config_reading import suggest
from smule_crypten.errors import ConfigError
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.scheme_table import SCHEME_TRAITS, SchemeTraits


def make_table(*schemes: type[SecureInferenceScheme]) -> dict[str, type[SecureInferenceScheme]]:
    """Name -> class.

    Raises:
        ConfigError: two schemes claim one name.
    """
    table: dict[str, type[SecureInferenceScheme]] = {}
    for scheme in schemes:
        if scheme.name in table:
            other = table[scheme.name].__name__
            raise ConfigError(f"schemes {other} and {scheme.__name__} are both called {scheme.name!r}; rename one")
        table[scheme.name] = scheme
    return table


def check_traits(schemes: Mapping[str, type[SecureInferenceScheme]]) -> None:
    """Raises ConfigError where a scheme claims another protection than scheme_table.py says, or has no row there."""
    for name, scheme in schemes.items():
        claimed = SchemeTraits(adversary=scheme.adversary, needs_dealer=scheme.needs_dealer)
        if SCHEME_TRAITS.get(name) != claimed:
            raise ConfigError(f"scheme {name}: {scheme.__name__} claims {claimed}; say the same in scheme_table.py")


SCHEMES = make_table(CryptenScheme, LeanScheme, PlaintextScheme)
check_traits(SCHEMES)

DEALT = {name: scheme.deal for name, scheme in SCHEMES.items() if SCHEME_TRAITS[name].needs_dealer}
"""How the dealer deals for each scheme that needs one."""


def scheme_class(name: str) -> type[SecureInferenceScheme]:
    """The scheme of that name.

    Raises:
        ConfigError: unknown name; lists the known ones.
    """
    if name not in SCHEMES:
        raise ConfigError(f"scheme.name: no scheme is called {name!r} {suggest(name, list(SCHEMES))}")
    return SCHEMES[name]
