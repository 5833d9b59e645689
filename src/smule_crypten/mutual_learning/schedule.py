"""At which epochs the parties ask each other. The same at both, or one would wait for ever."""

from __future__ import annotations

from smule_crypten.config.exchange import ExchangeTerms


def exchange_epochs(terms: ExchangeTerms, num_epochs: int) -> range:
    """The epochs, counted from 1, that begin with an exchange: every n-th one after the warm-up."""
    return range(terms.warmup(num_epochs) + 1, num_epochs + 1, terms.every)
