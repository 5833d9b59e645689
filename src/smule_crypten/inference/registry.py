"""The one table of schemes. A new scheme is a class and a row here."""

from __future__ import annotations

from smule_crypten.config import suggest
from smule_crypten.errors import ConfigError
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.scheme import SecureInferenceScheme


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


SCHEMES = make_table(CryptenScheme, LeanScheme, PlaintextScheme)

DEALT = {name: scheme.deal for name, scheme in SCHEMES.items()}
"""How the dealer deals for each scheme."""


def scheme_class(name: str) -> type[SecureInferenceScheme]:
    """The scheme of that name.

    Raises:
        ConfigError: unknown name; lists the known ones.
    """
    if name not in SCHEMES:
        raise ConfigError(f"scheme.name: no scheme is called {name!r} {suggest(name, list(SCHEMES))}")
    return SCHEMES[name]
