"""What a person may write for a side between hosts; what cannot be read is named in one line, with the place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smule_crypten.config.sections import DpConfig, TrainingConfig
from smule_crypten.errors import ConfigError
from smule_crypten.launch.side_file import read_dealer, read_party

SIDE = """\
role: a
data: {name: digits}
model: {name: mlp}
output_dir: out
connection:
  certificate: a.crt.pem
  key: a.key.pem
  listen: 127.0.0.1:7701
  peer: {certificate: b.crt.pem}
terms: none
"""


@pytest.fixture
def side(tmp_path: Path) -> Path:
    path = tmp_path / "side.yaml"
    path.write_text(SIDE)
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        read_party([f"+party={path}", *overrides])
    text = str(refused.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "connection.listen=[::1]:7701",
            """cannot read the override 'connection.listen=[::1]:7701'; write key=value""",
        ),
        ("connection.listen=[::1]:7701", """needs quotes within quotes: 'connection.listen="[::1]:7701"'"""),
        ("data.mean=[0.5", "cannot read the override 'data.mean=[0.5'; write key=value"),
        ("output_dir='mine", "cannot read the override"),
        ("output_dir=" + 2000 * "[", "cannot read the override 'output_dir=[[["),
        ("output_dir=${oc.env:SMULE_NOT_SET}", "SMULE_NOT_SET"),
        ('output_dir="~nobody-of-this-name/out"', "no user of this machine has the home of"),
        ("output_dir=", "output_dir: '' is no path"),
        ("=3", "cannot read an override of ['=3']; write key=value"),
        ("training.epochs", "cannot read the override 'training.epochs'; write key=value"),
        ("training.epochs=1,2", "command line: Ambiguous value for argument 'training.epochs=1,2'"),
        ("+dealer=dealer.yaml", "+dealer= is not for this command"),
        ("seed=18446744073709551615", "command line: seed: Input should be less than or equal to 4294967295"),
        ("launch.threads=99999999999", "launch.threads: Input should be less than or equal to"),
        ("training.epochs=99999999999", "command line: training.epochs: Input should be less than or equal to"),
        ("data=digitz", "command line: data: no choice 'digitz' (did you mean digits?"),
        ("training=image", "command line: training: no choice 'image' (did you mean images? known: images, private)"),
        ("traning.epochs=3", "command line: traning.epochs: unknown key; did you mean training.epochs?"),
        ("training.epochz=3", "command line: training.epochz: unknown key; did you mean training.epochs?"),
        ("rank=1", "command line: rank: is called role now"),
        (
            "budget.max_queries_total=5",
            "command line: budget.max_queries_total: is called disclosure.max_",
        ),
        ("hydra.run.dir=out", "command line: hydra.run.dir: unknown key"),
    ],
)
def test_what_the_command_line_cannot_mean(override: str, text: str, side: Path) -> None:
    """Whatever YAML or the libraries under it refuse, one line names the key and what to do."""
    assert text in refusal(side, override)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (SIDE.encode().replace(b": out", b": M\xfcnchen"), r"line 4: byte 0xfc is not UTF-8; save the file as UTF-8"),
        (SIDE.encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
        (SIDE.replace("{name: mlp}", "{name: mlp").encode(), r"line \d: this is no YAML: .*expected ',' or '}'"),
        (SIDE.replace(": out", ": %d").encode(), r"line 4: this is no YAML: .*'%'"),
        (SIDE.replace(": out", ": \x01").encode(), r"line 4: this is no YAML: character '\\x01'"),
        (SIDE.replace("role: a", "role: a\nrole: b").encode(), r"line 2: this is no YAML: .*duplicate key"),
        (SIDE.replace(": out", ": !!float x").encode(), "this is no YAML: could not convert"),
        ((SIDE + "seed: " + 3000 * "[").encode(), "this is no YAML: it is nested too deeply"),
        (b"", "holds no keys"),
        (b"- role", "holds no keys"),
        (b"role", "holds no keys"),
        (b"0", "holds no keys"),
        (SIDE.replace("role: a\n", "").encode(), r"side.yaml: role: must be given"),
        (SIDE.replace("role: a", "role: c").encode(), r"line 1: role: Input should be 'a' or 'b', got 'c'"),
        (SIDE.replace(": out", ': "a\\0b"').encode(), r"line 4: output_dir: 'a.x00b' is no path"),
        (
            SIDE.replace("connection:", "network:").encode(),
            r"line 5: network: is called connection now",
        ),
        (SIDE.replace("role: a", "rank: 0").encode(), r"line 1: rank: is called role now"),
        (
            f"{SIDE}budget: {{max_queries_total: 3}}\n".encode(),
            r"line 11: budget: is called disclosure",
        ),
        (f"{SIDE}defaults: [training: image]\n".encode(), r"line 11: defaults: no training is called 'image'"),
        (f"{SIDE}defaults: [partition: iid]\n".encode(), r"line 11: defaults: write a list of choices"),
        (f"{SIDE}defaults: training\n".encode(), r"line 11: defaults: write a list of choices"),
        (f"{SIDE}hydra: {{run: {{dir: out}}}}\n".encode(), r"line 11: hydra: unknown key"),
        (SIDE[: SIDE.index("connection:")].encode(), r"side.yaml: connection: must be given: certificate, key, listen"),
        (f"{SIDE}training: {{epochz: 3}}\n".encode(), r"line 11: training.epochz: unknown key; .* training.epochs\?"),
        (f"{SIDE}training:\n  epochs: many\n".encode(), "line 12: training.epochs: .*valid integer, got 'many'"),
        (
            SIDE.replace("  listen", "  listn").encode(),
            r"line 8: connection.listn: unknown key; .* connection.listen\?",
        ),
        (SIDE.replace("  key: a.key.pem\n", "").encode(), "line 5: connection.key: must be given"),
        (SIDE.replace("mlp", "mlpp").encode(), r"line 3: model.name: no model is called 'mlpp' \(did you mean mlp\?"),
        (SIDE.replace("digits", "digitz").encode(), r"line 2: data.name: no data is called 'digitz'"),
    ],
)
def test_what_a_file_cannot_mean(content: bytes, text: str, side: Path) -> None:
    """The line of the file is named, with the nearest key for a wrong one."""
    side.write_bytes(content)
    assert re.search(text, refusal(side)), refusal(side)


def test_two_ways_to_name_the_file(side: Path) -> None:
    """A side's file may stand alone; a byte order mark and an address of IPv6 are no trouble."""
    side.write_bytes(b"\xef\xbb\xbf" + SIDE.encode())
    config = read_party([str(side), 'connection.listen="[::1]:7701"'])
    assert config == read_party([f"+party={side}", 'connection.listen="[::1]:7701"'])
    assert config.connection is not None
    assert config.connection.listen == "[::1]:7701"
    assert config.output_dir == str(side.parent / "out")
    with pytest.raises(ConfigError, match="name the file of this side once"):
        read_party([str(side), f"+party={side}"])
    with pytest.raises(ConfigError, match=r"name the file of this side once: \+dealer=my_side.yaml"):
        read_dealer([])


def test_a_dealer_has_no_scheme(tmp_path: Path) -> None:
    """Whoever starts one for the two parties alone is told that there is none, in one line."""
    (tmp_path / "dealer.yaml").write_text("scheme: {name: two_party}\n")
    (tmp_path / "other.yaml").write_text("listen: 0.0.0.0:7702\n")
    for arguments in (["dealer.yaml"], ["other.yaml", "scheme=two_party"], ["other.yaml", "scheme.name=two_party"]):
        with pytest.raises(
            ConfigError, match=r"scheme: is no key of a dealer, .* with scheme=two_party there is no dealer"
        ):
            read_dealer([str(tmp_path / arguments[0]), *arguments[1:]])


def test_a_choice_lies_under_what_the_file_says(side: Path) -> None:
    """As for `smule`: a group's file over the models' defaults, what is written over both."""
    assert read_party([str(side)]).training == TrainingConfig()
    side.write_text(f"{SIDE}defaults: [training: images]\ntraining: {{epochs: 3}}\n")
    training = read_party([str(side)]).training
    assert (training.epochs, training.batch_size, training.augmentation.crop) == (3, 128, 4)
    other = read_party([str(side), "training=private", "data=npz", "model.options.hidden=[4]"])
    assert (other.training.epochs, other.training.batch_size, other.training.trust) == (3, 128, "none")
    assert other.training.dp == DpConfig(target_epsilon=8.0)
    assert (other.data.name, other.data.mean, other.model.options) == ("npz", (0.5,), {"hidden": [4]})
