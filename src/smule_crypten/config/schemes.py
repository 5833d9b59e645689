"""What decides where a scheme may run: whom it protects from, and whether a third process must deal for it.

The one place that says so: the configuration reads it before anything heavy is imported, the classes in inference/ take
their traits from it, and inference/registry.py has a class for each row.
"""

from __future__ import annotations

from dataclasses import dataclass

from smule_crypten.config.config_reading import suggest
from smule_crypten.errors import ConfigError
from smule_crypten.types import Adversary


@dataclass(frozen=True, kw_only=True)
class SchemeTraits:
    """adversary: "none" gives no protection. Between hosts it is refused, and a simulation needs allow_insecure."""

    adversary: Adversary
    needs_dealer: bool

    @property
    def is_insecure(self) -> bool:
        return self.adversary == "none"


SCHEME_TRAITS = {
    "crypten": SchemeTraits(adversary="semi-honest", needs_dealer=True),
    "lean": SchemeTraits(adversary="semi-honest", needs_dealer=True),
    "plaintext": SchemeTraits(adversary="none", needs_dealer=False),
    "two_party": SchemeTraits(adversary="semi-honest", needs_dealer=False),
}


def scheme_traits(name: str) -> SchemeTraits:
    """The traits of the scheme of that name.

    Raises:
        ConfigError: unknown name; lists the known ones.
    """
    if name not in SCHEME_TRAITS:
        raise ConfigError(f"scheme.name: no scheme is called {name!r} {suggest(name, list(SCHEME_TRAITS))}")
    return SCHEME_TRAITS[name]
