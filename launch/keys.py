"""`smule-keys`: make the key pair of an organisation, and look at a certificate."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path

from smule_crypten._version import __version__
from smule_crypten.errors import INTERRUPTED_EXIT_CODE, SmuleError
from smule_crypten.transport.credentials import DEFAULT_DAYS, Certificate, create_identity, load_certificate

_ADVICE = """\
Send {certificate} to the other party (and to the dealer, where there is one); compare fingerprints by telephone.
Never send {key} to anybody: it stays on this machine, readable by you alone."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry point. arguments are those of the command line unless given."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except SmuleError as error:
        print(f"smule-keys: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("smule-keys: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smule-keys", description=__doc__.partition(": ")[2].capitalize())
    parser.add_argument("--version", action="version", version=f"smule-crypten {__version__}")
    commands = parser.add_subparsers(required=True, metavar="{init,show}")
    init = commands.add_parser("init", help="make a private key and a self-signed certificate")
    init.add_argument("--name", required=True, help="of your organisation, for example hospital-a")
    init.add_argument("--dir", type=Path, default=Path(), help="where to write both files; default: here")
    init.add_argument("--days", type=int, default=DEFAULT_DAYS, help="how long it is valid; default: %(default)s")
    init.set_defaults(command=_init)
    show = commands.add_parser("show", help="show name, fingerprint and dates of a certificate")
    show.add_argument("file", type=Path, metavar="FILE.crt.pem")
    show.set_defaults(command=_show)
    return parser


def _init(options: argparse.Namespace) -> None:
    identity = create_identity(options.name, options.dir, days=options.days)
    print(f"private key:  {identity.key_path}")
    print(f"certificate:  {identity.certificate.path}")
    _describe(identity.certificate)
    print()
    print(_ADVICE.format(certificate=identity.certificate.path.name, key=identity.key_path.name))


def _show(options: argparse.Namespace) -> None:
    """Fails, after showing it, where the certificate is not valid now."""
    certificate = load_certificate(options.file)
    print(f"name:         {certificate.name}")
    _describe(certificate)
    certificate.check_dates()


def _describe(certificate: Certificate) -> None:
    now = dt.datetime.now(dt.UTC)
    is_valid = certificate.not_before <= now <= certificate.not_after
    print(f"fingerprint:  SHA-256 {certificate.fingerprint}")
    print(f"valid from:   {certificate.not_before:%Y-%m-%d %H:%M} UTC")
    print(f"valid until:  {certificate.not_after:%Y-%m-%d %H:%M} UTC")
    print(f"valid now:    {'yes' if is_valid else 'no'}")


if __name__ == "__main__":
    main()
