"""The files of conf/ by group: what can be chosen by name, for every command."""

from __future__ import annotations

from importlib import resources

CHOSEN_BY_NAME = ("data", "features", "joint_head", "model", "scheme", "provider")
"""Groups whose file says the `name` of its section."""
GROUPS_OF_A_PARTY = (*CHOSEN_BY_NAME, "training")
GROUPS_OF_A_RUN = (
    "data",
    "features",
    "joint_head",
    "partition",
    "party_a/model",
    "party_b/model",
    "scheme",
    "provider",
    "training",
    "attack",
    "experiment",
)


def choices(group: str) -> list[str]:
    """The names of the files of a group; party_a/model and party_b/model choose among those of model."""
    folder = resources.files("smule_crypten.conf").joinpath(group.rpartition("/")[2])
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
