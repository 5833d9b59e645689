"""`smule-init`: writes the files of both parties for a run between hosts, and of a dealer if one is named.

    smule-init --a hospital-a --b hospital-b --a-address hospital-a.example:7701

What is not given is asked for where a person sits at the terminal; elsewhere the defaults hold.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from smule_crypten._version import __version__
from smule_crypten.errors import ConfigError, OutputError
from smule_crypten.files import write_text
from smule_crypten.launch.outcome import exit_code_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUFFIXES = {"npz": ".npz", "table": ".csv"}
"""Of data that are one file."""
_ADDRESS = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
_HIGHEST_PORT = 65535


class _Question(NamedTuple):
    option: str
    text: str
    default: str
    check: Callable[[str], object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry point. arguments are those of the command line unless given."""
    options = _parser().parse_args(arguments)
    sys.exit(exit_code_of(lambda: _init(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smule-init",
        description="Writes the files of both parties for a run between hosts, and of a dealer if one is named. Send "
        "each to its side, which completes data.path; docs/two-hosts.md goes on from there. What is not given is asked "
        "for.",
    )
    parser.add_argument("--version", action="version", version=f"smule-crypten {__version__}")
    for question in _QUESTIONS:
        shown = question.default or "none"
        parser.add_argument(f"--{question.option}", metavar="VALUE", help=f"{question.text}; default: {shown}")
    parser.add_argument("--dir", type=Path, default=Path(), help="where to write the files; default: here")
    return parser


def _init(options: argparse.Namespace) -> None:
    given = vars(options)
    answers: dict[str, str] = {}
    for question in _QUESTIONS:
        of_question = given[question.option.replace("-", "_")]
        if question.option == "dealer-address" and not answers["dealer"]:
            if of_question is not None:
                raise ConfigError("--dealer-address: name the dealer, too, with --dealer; without one, leave it out")
            continue
        answers[question.option] = _answer(question, of_question)
    roles = [role for role in ("a", "b", "dealer") if answers[role]]
    names = [answers[role] for role in roles]
    if len(set(names)) < len(names):
        raise ConfigError("--a, --b, --dealer: two have the same name; give each its own, as in smule-keys init --name")
    if answers["data"] == "table" and answers["class-names"]:
        raise ConfigError("--class-names: classes of a table are in its schema (smule-table schema); leave it out")
    paths = {role: options.dir / f"{answers[role]}.yaml" for role in roles}
    for path in paths.values():
        if path.exists():
            raise OutputError(f"{path} exists already; move it away, or set another --dir")
    for role, path in paths.items():
        text = _dealer_file(answers) if role == "dealer" else _party_file(role, answers)
        write_text(path, text, public=True)
        print(f"wrote {path}")
    print(_next_steps(answers))


def _answer(question: _Question, given: str | None) -> str:
    """What the command line gives or a person says; a person is asked again after a mistake."""
    if given is not None or not sys.stdin.isatty():
        value = question.default if given is None else given
        try:
            question.check(value)
        except ValueError as error:
            raise ConfigError(f"--{question.option}: {value!r} {error}") from None
        return value
    while True:
        value = input(f"{question.text} [{question.default or 'none'}]: ").strip() or question.default
        try:
            question.check(value)
        except ValueError as error:
            print(f"{value!r} {error}")
        else:
            return value


def _name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise ValueError("is no name of a file; use letters, digits, '.', '_' and '-'")


def _dealer(text: str) -> None:
    if text:
        _name(text)


def _address(text: str) -> None:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= _HIGHEST_PORT:
        raise ValueError("is no address; write host:port, for example hospital-a.example:7701")


def _count(text: str) -> None:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError("is no whole number of at least 1")


def _data(text: str) -> None:
    known = sorted(file.name.removesuffix(".yaml") for file in resources.files("smule_crypten.conf.data").iterdir())
    known = [name for name in known if not name.startswith("_")]
    if text not in known:
        raise ValueError(f"is no kind of data; known: {', '.join(known)}")


def _class_names(text: str) -> None:
    names = _listed(text)
    if len(names) == 1 or len(set(names)) < len(names):
        raise ValueError("needs two or more different names, with commas between them")


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


_QUESTIONS = (
    _Question("a", "name of party a, which waits for party b", "hospital-a", _name),
    _Question("b", "name of party b, which connects to party a", "hospital-b", _name),
    _Question("a-address", "host:port of party a, as party b reaches it", "hospital-a.example:7701", _address),
    _Question("dealer", "name of a third organisation that deals and sees no data; none for two alone", "", _dealer),
    _Question("dealer-address", "host:port of the dealer, if one is named", "dealer.example:7702", _address),
    _Question("data", "kind of data, the same at both or changed later in one file", "npz", _data),
    _Question("class-names", "names of the classes, class 0 first, with commas", "", _class_names),
    _Question("epochs", "epochs of each training", "30", _count),
    _Question("queries", "samples that each asks about in an exchange", "200", _count),
    _Question("every", "an exchange at the start of every n-th epoch", "4", _count),
)


def _next_steps(answers: dict[str, str]) -> str:
    a, b, dealer = (answers[role] for role in ("a", "b", "dealer"))
    each = ", ".join([a, dealer]) if dealer else a
    lines = [
        "",
        f"Now, at each of the {'three' if dealer else 'two'}:",
        f"  smule-keys init --name NAME      with {each} or {b}; exchange certificates",
        f"  complete the file: data.path{' at the parties' if dealer else ''}, and data.mean and data.std alike",
        f"  smule-terms propose +party={a}.yaml --purpose TEXT      at one party; then smule-terms sign at both",
        *([f"  smule-dealer +dealer={dealer}.yaml"] if dealer else []),
        f"  smule-doctor +party={a}.yaml     at {a}, and +party={b}.yaml at {b}",
        f"  smule-party +party={a}.yaml      likewise",
        "smule-party --help explains every key; docs/two-hosts.md goes through it step by step.",
    ]
    return "\n".join(lines)


def _party_file(role: str, answers: dict[str, str]) -> str:
    own, other = answers[role], answers["b" if role == "a" else "a"]
    kind, names = answers["data"], _listed(answers["class-names"])
    data: dict[str, Any] = {"name": kind, "path": f"{own}{_SUFFIXES.get(kind, '')}"}
    if kind == "table":
        data["options"] = {"schema_file": "schema.yaml"}
    elif names:
        data["options"] = {"class_names": names}
    peer = {"certificate": f"{other}.crt.pem"}
    connection: dict[str, Any] = {"certificate": f"{own}.crt.pem", "key": f"{own}.key.pem"}
    if role == "a":
        connection["listen"] = f"0.0.0.0:{_port(answers['a-address'])}"
    else:
        peer = {"address": answers["a-address"], **peer}
    connection["peer"] = peer
    dealer = answers["dealer"]
    if dealer:
        connection["dealer"] = {"address": answers["dealer-address"], "certificate": f"{dealer}.crt.pem"}
    parts = [
        (f"# {own}.yaml: party {role}", {"role": role}),
        ("# Of this side alone: where the data lie.", {"data": data}),
        ("# Of this side alone: its network; the choices are in smule --help.", {"model": {"name": "auto"}}),
        ("# As agreed with the other party.", {"scheme": {"name": "lean" if dealer else "two_party"}}),
        ("", {"training": {"epochs": int(answers["epochs"])}}),
        ("", {"exchange": {"num_queries": int(answers["queries"]), "every": int(answers["every"])}}),
        (
            "# How much your own network answers, over all runs with this peer; null for as much as this run plans.",
            {"disclosure": {"max_answers_total": None, "ledger": f"ledger-of-{other}.jsonl"}},
        ),
        (
            "# What both approve: smule-terms propose, sign and verify. none: runs that nobody has approved.",
            {"terms": f"terms-{answers['a']}-{answers['b']}.json"},
        ),
        ("# Where the results go; a new one for each run.", {"output_dir": "first-run"}),
        ("", {"connection": connection}),
    ]
    return _written(parts)


def _dealer_file(answers: dict[str, str]) -> str:
    name = answers["dealer"]
    values = {
        "certificate": f"{name}.crt.pem",
        "key": f"{name}.key.pem",
        "listen": f"0.0.0.0:{_port(answers['dealer-address'])}",
        "party_a": f"{answers['a']}.crt.pem",
        "party_b": f"{answers['b']}.crt.pem",
    }
    return _written([(f"# {name}.yaml: the dealer", values)])


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _written(parts: Sequence[tuple[str, object]]) -> str:
    texts = [yaml.safe_dump(values, sort_keys=False, allow_unicode=True) for _, values in parts]
    return "".join(f"{comment}\n{text}" if comment else text for (comment, _), text in zip(parts, texts, strict=True))
