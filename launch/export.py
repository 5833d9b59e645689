"""`smule-export party_a/model.pt --format onnx`: a trained network as a file that runs without this package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smule_crypten._version import __version__
from smule_crypten.launch.outcome import exit_code_of

_FORMATS = ("onnx", "torchscript")
_SUFFIXES = ".onnx or .torchscript"


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry point. arguments are those of the command line unless given."""
    options = _parser().parse_args(arguments)
    sys.exit(exit_code_of(lambda: _export(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smule-export",
        description="Writes a trained network with its normalisation as a file that ONNX runtimes or torch.jit.load "
        "run without this package. It is compared with the network itself before it is kept.",
    )
    parser.add_argument("--version", action="version", version=f"smule-crypten {__version__}")
    parser.add_argument("checkpoint", type=Path, metavar="party_a/model.pt", help="a network that a run has left")
    parser.add_argument(
        "--format", required=True, choices=_FORMATS, help="onnx needs the packages of the extra 'export'"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help=f"a new file; default: beside the checkpoint, called {_SUFFIXES}"
    )
    parser.add_argument(
        "--allow-target",
        action="store_true",
        help="call functions that the checkpoint or its configuration names by _target_; for files of your own only",
    )
    return parser


def _export(options: argparse.Namespace) -> None:
    # Imported late: it takes seconds, which --help and a mistake need not wait for.
    from smule_crypten.prediction.export import export

    written = export(options.checkpoint, options.format, options.output, allow_target=options.allow_target)
    print(f"wrote {written.path}")
    print(f"outputs differ from the network's by at most {written.difference:.1e} on {written.samples}")


if __name__ == "__main__":
    main()
