"""`smule-terms`: what both parties approve, in one file that both sign.

smule-terms propose +party=hospital-a.yaml --purpose "..." --not-after 2027-06-30
smule-terms show terms.json
smule-terms sign +party=hospital-a.yaml
smule-terms verify +party=hospital-a.yaml
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from smule_crypten._version import __version__
from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.config.config_reading import parse as parse_section
from smule_crypten.config.config_reading import suggest
from smule_crypten.config.party import DisclosureLimits
from smule_crypten.errors import ConfigError, OutputError
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.launch.side_command import heed_sigterm
from smule_crypten.launch.side_file import read_party
from smule_crypten.launch.terms_view import show_approval, show_document
from smule_crypten.report.logs import configure_logging
from smule_crypten.terms.approval import Side, approval_of, check_keys, signed
from smule_crypten.terms.document import SignedTerms, Terms, read_terms, write_terms, written

if TYPE_CHECKING:
    from smule_crypten.config.protocol import ProtocolConfig
    from smule_crypten.config.run import PartyConfig

DEFAULT_DAYS = 365
_SIDE = "+party=my_side.yaml"
_ABOUT = (
    "The file of the terms is what `terms` names in the file of the side, or terms=FILE beside it. All but `show` read "
    "the side's data, since shape, classes and columns are among what is approved. docs/two-hosts.md goes through it."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry point. arguments are those of the command line unless given."""
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    heed_sigterm()
    configure_logging(logging.ERROR)
    sys.exit(exit_code_of(lambda: options.command(options)))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command, settings (for read_party) or file, and the options of propose.

    Raises:
        SystemExit: with code 2, where the arguments cannot be read, or 0 after --help and --version.
    """
    parser = argparse.ArgumentParser(
        prog="smule-terms",
        description=f"What both parties approve. {_ABOUT}",
        epilog="smule-terms COMMAND --help explains each.",
    )
    parser.add_argument("--version", action="version", version=f"smule-crypten {__version__}")
    commands = "; ".join(f"{name}: {text}" for name, (_, text) in _COMMANDS.items())
    parser.add_argument("command", choices=_COMMANDS, help=commands)
    name = parser.parse_args(arguments[:1]).command
    run, text = _COMMANDS[name]
    of_command = argparse.ArgumentParser(prog=f"smule-terms {name}", description=f"{text.capitalize()}. {_ABOUT}")
    of_command.set_defaults(command=run)
    if name == "show":
        of_command.add_argument("file", type=Path, metavar="FILE")
    else:
        of_command.add_argument("settings", nargs="+", metavar=_SIDE, help="and overrides, as for smule-party")
    if name == "propose":
        _add_what_is_proposed(of_command)
    return of_command.parse_intermixed_args(arguments[1:])


def _add_what_is_proposed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--purpose", required=True, metavar="TEXT", help="what the runs are for, in one line")
    parser.add_argument("--not-before", metavar="DATE", help="2026-12-01 or 2026-12-01T08:00:00Z; default: now")
    parser.add_argument("--not-after", metavar="DATE", help=f"likewise; default: {DEFAULT_DAYS} days after not-before")
    parser.add_argument(
        "--peer-limits",
        metavar="KEY=VALUE,...",
        default="",
        help="`disclosure` of the other side's file, as in max_answers_total=2000,max_answers_per_exchange=200; what "
        "is left out has its default",
    )


def _propose(options: argparse.Namespace) -> None:
    config, path = _side(options)
    if path.exists():
        raise OutputError(f"{path} exists already; move it away, or name another file with terms=")
    limits = parse_section(DisclosureLimits, _limits(options.peer_limits), lambda key: "--peer-limits: ")
    not_before = written(dt.datetime.now(dt.UTC))
    if options.not_before is not None:
        not_before = _moment(options.not_before, "--not-before", "00:00:00")
    if options.not_after is None:
        begin = dt.datetime.fromisoformat(not_before)
        not_after = written(begin + dt.timedelta(days=DEFAULT_DAYS))
    else:
        not_after = _moment(options.not_after, "--not-after", "23:59:59")
    config, protocol = _public(config)
    side = Side.of(config, protocol)
    check_keys(side)
    other = "b" if side.party == "a" else "a"
    values = {
        "purpose": options.purpose,
        "not_before": not_before,
        "not_after": not_after,
        "certificates": side.signatories(),
        "limits": {side.party: side.limits, other: limits},
        "protocol": side.protocol,
    }
    write_terms(path, SignedTerms(terms=parse_section(Terms, values)))
    print(f"wrote {path}; both read it (smule-terms show) and sign it (smule-terms sign), one after the other")


def _show(options: argparse.Namespace) -> None:
    show_document(read_terms(options.file), _console())


def _sign(options: argparse.Namespace) -> None:
    config, path = _side(options)
    document = read_terms(path)
    config, protocol = _public(config)
    signed_too = signed(document, config, protocol, path)
    write_terms(path, signed_too)
    missing = [party for party in ("a", "b") if signed_too.of(party) is None]
    print(f"signed {path} as party {config.role}; digest {document.terms.digest()}")
    print(f"party {missing[0]} has still to sign: send it the file" if missing else "both have signed: send it back")


def _verify(options: argparse.Namespace) -> None:
    config, path = _side(options)
    config, protocol = _public(config)
    approval = approval_of(config, protocol)
    assert approval is not None, "_side sees to it"
    show_approval(approval, path, config.role, _console())


def _side(options: argparse.Namespace) -> tuple[PartyConfig, Path]:
    """The side, and the file of its terms."""
    config = read_party(options.settings)
    if config.terms is None or config.terms == NO_TERMS:
        raise ConfigError("terms: this side's file names none; name the file, as in terms=terms.json")
    return config, Path(config.terms)


def _public(config: PartyConfig) -> tuple[PartyConfig, ProtocolConfig]:
    """What this side will say in the handshake, and the side with what follows from its data."""
    # Imported late: it takes seconds, which --help and a mistake in the file need not wait for.
    from smule_crypten.party.inputs import load_party_inputs, public_configuration

    inputs = load_party_inputs(config)
    return inputs.config, public_configuration(inputs.config, inputs.bundle)


def _limits(text: str) -> dict[str, Any]:
    """Of `max_answers_total=2000,logit_noise=0.1`."""
    values: dict[str, Any] = {}
    for setting in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = setting.partition("=")
        known = list(DisclosureLimits.model_fields)
        if key not in known or key in values:
            raise ConfigError(f"--peer-limits: {key!r} is no key, or is given twice {suggest(key, known)}")
        values[key] = _number(value, key)
    return values


def _number(text: str, key: str) -> int | float | None:
    if text == "null":
        return None
    try:
        return float(text) if key == "logit_noise" else int(text)
    except ValueError:
        raise ConfigError(f"--peer-limits: {key}={text} is no number") from None


def _moment(text: str, option: str, at: str) -> str:
    """A day stands for its beginning or its end, in UTC."""
    try:
        return written(dt.datetime.strptime(text if "T" in text else f"{text}T{at}Z", "%Y-%m-%dT%H:%M:%S%z"))
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is no date; write 2026-12-01 or 2026-12-01T08:00:00Z") from None


_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], None], str]] = {
    "propose": (_propose, "write terms as this side's file has them; neither party has signed yet"),
    "show": (_show, "print a file of terms for people; verifies nothing"),
    "sign": (_sign, "add this side's signature, if the terms are what its file says"),
    "verify": (_verify, "see whether both have signed, and this side may run by the terms now"),
}
"""What each command does, and how it says so."""


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


if __name__ == "__main__":
    main()
