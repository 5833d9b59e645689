from __future__ import annotations

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.errors import HydraException

from smule_crypten.config.config_reading import known_keys
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.errors import ConfigError
from smule_crypten.launch.composition import explain, register_run, to_run_config
from smule_crypten.launch.side_file import read_party
from smule_crypten.removed import REMOVED, RENAMED

SIDE = """
role: a
data: {name: digits}
model: {name: small_convnet}
output_dir: out
terms: none
connection:
  certificate: a.pem
  key: a.key
  listen: 127.0.0.1:9
  peer: {certificate: b.pem}
  dealer: {address: "127.0.0.1:8", certificate: dealer.pem}
"""


def setting(row: str) -> tuple[str, str]:
    """The key of a row, and a value that it had."""
    key, _, choice = row.partition("=")
    return key, choice or "3"


def refusal_of_smule(*overrides: str) -> str:
    register_run()
    with initialize_config_module("smule_crypten.conf", version_base="1.3"):
        try:
            to_run_config(compose("config", list(overrides)))
        except ConfigError as error:
            return str(error)
        except HydraException as error:
            return str(explain(error))
    raise AssertionError(f"accepted: {overrides}")


@pytest.mark.parametrize("row", REMOVED)
def test_who_sets_it_for_smule_is_told_what_to_do(row: str) -> None:
    """As an override, as a new key, and in a section that is given as a whole."""
    key, value = setting(row)
    section, _, last = key.rpartition(".")
    for override in (f"{key}={value}", f"++{key}={value}", f"{section}={{{last}:{value}}}"):
        text = refusal_of_smule(override)
        assert text.startswith(f"{key}: ")
        assert text.endswith(f"was removed: {REMOVED[row]}")
        assert "\n" not in text


@pytest.mark.parametrize("row", [row for row in REMOVED if not row.startswith("party_")])
def test_who_sets_it_in_a_party_s_file_is_told_where_and_what_to_do(row: str, tmp_path: Path) -> None:
    """The place in the file, then the same words; on the command line of a party likewise."""
    key, value = setting(row)
    file, old = tmp_path / "side.yaml", tmp_path / "old.yaml"
    first, *others = key.split(".")
    file.write_text(SIDE)
    old.write_text(f"{first}: {''.join(f'{{{name}: ' for name in others)}{value}{'}' * len(others)}\n{SIDE}")
    for arguments, place in (
        ([f"+party={old}"], f"{old}, line 1: "),
        ([f"+party={file}", f"{key}={value}"], "command line: "),
    ):
        with pytest.raises(ConfigError) as caught:
            read_party(arguments)
        assert str(caught.value).startswith(f"{place}{key}: ")
        assert str(caught.value).endswith(f"was removed: {REMOVED[row]}")


@pytest.mark.parametrize("row", REMOVED)
def test_a_row_is_of_what_is_gone_and_names_what_there_is(row: str) -> None:
    """A table that nobody looks after would send people to keys that do not exist, or refuse what does."""
    known = known_keys(RunConfig)
    assert ("=" in row) == (row.partition("=")[0] in known)
    named = re.findall(r"\b(?:exchange|training|joint_head)\.[a-z_.]*[a-z_]", REMOVED[row])
    assert set(named) <= set(known)


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("party_a.data.labeled=3", "party_a.samples"),
        ("party_b.budget={max_queries_total:3}", "party_b.disclosure"),
        ("party_a.disclosure.max_queries_total=3", "party_a.disclosure.max_answers_total"),
        ("network.listen=here:1", "connection.listen"),
    ],
)
def test_who_uses_a_former_name_is_told_the_present_one(override: str, name: str) -> None:
    """In one line, for `smule`; tests/unit/test_side_file.py has the same for a side's file."""
    assert refusal_of_smule(override).endswith(f"is called {name} now")


def test_former_names_are_gone_and_present_ones_exist() -> None:
    """As above, for the names."""
    known = {*known_keys(RunConfig), *known_keys(PartyConfig)}
    assert not known & RENAMED.keys()
    assert set(RENAMED.values()) <= known
