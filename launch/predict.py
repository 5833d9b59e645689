"""`smule-predict +party=my_side.yaml input=images.npz output=predictions.npz`: both parties' networks on new images."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from smule_crypten.errors import ConfigError
from smule_crypten.launch.info import party_usage
from smule_crypten.launch.side_command import run_side_command
from smule_crypten.launch.side_file import read_party
from smule_crypten.prediction.answers import prediction_table
from smule_crypten.report.logs import configure_logging

USAGE = """smule-predict +party=my_side.yaml [input=images.npz output=predictions.npz] [key=value ...]

Asks the other party's trained network about new images, and combines its answers with those of your own. Both
parties run it at the same time, as my_side.yaml says, while the dealer waits if the scheme needs one; without input
this side only answers.

input: an .npz file with samples (N, ...), uint8 or float32, or a folder of image files; of a side that learns from a
table, a CSV or Parquet file with the columns of its schema. output: a new .npz file, or one called .csv, a table; what
was asked and what it cost goes beside it, as .json. docs/two-hosts.md explains both.
"""


def main() -> None:
    """Console entry point."""
    run_side_command(lambda everything: party_usage(USAGE, everything), _run)


def split_files(arguments: list[str]) -> tuple[dict[str, Path], list[str]]:
    """Input and output, as far as they are given, and the other arguments.

    Raises:
        ConfigError: one is given twice, or empty.
    """
    files: dict[str, Path] = {}
    settings = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in ("input", "output"):
            settings.append(argument)
        elif key in files or not value:
            raise ConfigError(f"{key}: name one file")
        else:
            files[key] = Path(value)
    return files, settings


def _run(arguments: list[str]) -> None:
    # Imported late: it takes seconds, which --help and a mistake in the file need not wait for.
    from smule_crypten.prediction.predict_files import predict

    files, settings = split_files(arguments)
    config = read_party(settings)
    configure_logging(config.launch.log_level.upper())
    record = predict(config, files.get("input"), files.get("output"))
    console = Console()
    console.print(prediction_table(record))
    if "output" in files:
        console.print(f"party {config.name}: predictions in {files['output']}", soft_wrap=True)
