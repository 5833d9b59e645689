"""At which epochs the parties ask each other. The same at both, or one would wait for ever."""

from __future__ import annotations

from smule_crypten.config.exchange import ExchangeTerms


def exchange_epochs(terms: ExchangeTerms, num_epochs: int) -> range:
    """The epochs, counted from 1, that begin with an exchange; those that may, where schedule is adaptive.

    - periodic, adaptive: every n-th epoch after the warm-up.
    - front_loaded: as many as num_exchanges says, from the first epoch after the warm-up on.
    - late: as many as num_exchanges says, the last ones.
    """
    first, last = terms.warmup(num_epochs) + 1, num_epochs
    if terms.schedule == "front_loaded":
        assert terms.num_exchanges is not None
        last = first + terms.num_exchanges - 1
    elif terms.schedule == "late":
        assert terms.num_exchanges is not None
        first = last - terms.num_exchanges + 1
    return range(first, last + 1, terms.every if terms.num_exchanges is None else 1)
