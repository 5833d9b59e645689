"""What a simulation may do and a party between hosts may not, refused with one line each."""

from __future__ import annotations

from collections.abc import Sequence

from smule_crypten.config.sections import AttackConfig, DataConfig


def refuse_of_simulations(insecure_choices: Sequence[str], attack: AttackConfig, data: DataConfig) -> None:
    """What protects nothing, attacks, and constants that would come from the own rows of a table.

    Raises:
        ValueError: in words for the user.
    """
    if insecure_choices:
        raise ValueError(f"{', '.join(insecure_choices)}: refused between hosts, since it protects nothing")
    if attack.name != "none":
        raise ValueError(f"attack={attack.name}: refused between hosts; attacks are simulated only (smule)")
    if data.name == "table" and not data.options.get("schema_file"):
        raise ValueError(
            "data.options.schema_file: between hosts a table needs a schema that both parties have; "
            "smule-table schema drafts one"
        )
