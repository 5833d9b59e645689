"""What a party between hosts may not do, though a simulation may, and who must be there: refused with one line each."""

from __future__ import annotations

from collections.abc import Sequence

from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.config.sections import AttackConfig, DataConfig


def refuse_of_simulations(insecure_choices: Sequence[str], attack: AttackConfig, data: DataConfig) -> None:
    """What gives no protection, attacks, and constants that would come from a party's own rows of a table.

    Raises:
        ValueError: in words for the user.
    """
    if insecure_choices:
        raise ValueError(f"{', '.join(insecure_choices)}: refused between hosts, since it gives no protection")
    if attack.name != "none":
        raise ValueError(f"attack={attack.name}: refused between hosts; attacks are simulated only (smule)")
    if data.name == "table" and not data.options.get("schema_file"):
        raise ValueError(
            "data.options.schema_file: between hosts a table needs a schema that both parties have; "
            "smule-table schema drafts one"
        )


NO_TERMS = "none"
"""What a side writes in place of the file of terms, if its runs shall need nobody's approval."""


def refuse_no_terms(terms: str | None) -> None:
    """Where a side says nothing of terms. That none are there has to be written, so that nobody forgets them.

    Raises:
        ValueError: in words for the user.
    """
    if terms is None:
        raise ValueError(
            "terms: between hosts name the file of the terms that both parties signed (smule-terms propose writes "
            f"it), or write terms: {NO_TERMS} for runs that nobody has approved"
        )


def refuse_other_dealing(scheme: str, needs_dealer: bool, connection: ConnectionConfig) -> None:
    """A dealer that the scheme has no use for, or none where it needs one.

    Raises:
        ValueError: in words for the user.
    """
    if needs_dealer and connection.dealer is None:
        raise ValueError(
            f"connection.dealer: scheme={scheme} needs a dealer; give its address and certificate, "
            "or set scheme=two_party at both sides, which needs none"
        )
    if not needs_dealer and connection.dealer is not None:
        raise ValueError(
            f"connection.dealer: scheme={scheme} has no dealer, the two parties compute alone; leave it out, "
            "or set scheme=lean at both sides, which has one"
        )
