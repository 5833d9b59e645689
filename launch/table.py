"""`smule-table`: drafts the public schema of a table, and checks a table by one.

smule-table schema customers.csv target=defaulted output=schema.yaml
smule-table check customers.csv schema=schema.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from smule_crypten.config.config_reading import parse, suggest
from smule_crypten.errors import ConfigError, DataError, OutputError, quoted
from smule_crypten.files import write_text
from smule_crypten.launch.info import answer
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.tables.checking import misfits
from smule_crypten.tables.drafting import draft, propose
from smule_crypten.tables.proposal import Proposal
from smule_crypten.tables.schema_file import read_schema
from smule_crypten.tables.source import CsvFormat, TableFile

USAGE = """smule-table schema FILE [target=COLUMN] [output=schema.yaml] [confirm=COLUMN,...] [key=value ...]
smule-table check FILE schema=schema.yaml [key=value ...]

schema: drafts the public schema of a table (CSV or Parquet), which both parties
use and each reads. Unasked it holds what follows from the table's shape: the
names of columns; their kinds, by whether the values are numbers, truth values
or others; "missing" where a value of this table is missing; and "ignore" for a
column that has no value, a single one, or only numbers the rows. Change there
what the other party shall not read. Values of the data (mean and spread of these
rows, rounded, and categories) are left blank (???), to be filled in together,
unless confirmed: confirm=age,sex or confirm=all; a person at a terminal is
asked. A schema with blanks is refused wherever it is used.
check: says what of a file does not fit a schema, column by column.

target     the column to predict, or several with commas between them
output     a new file; without it the schema is printed
ignore     columns to leave out, with commas between them
separator  of a CSV file: comma, semicolon, tab or bar [comma]
encoding   of a CSV file [utf-8]
decimal    of a CSV file: point or comma [point]

docs/two-hosts.md has an example.
"""
_OF_CSV = tuple(CsvFormat.model_fields)
_KEYS = {"schema": ("target", "output", "confirm", "ignore", *_OF_CSV), "check": ("schema", *_OF_CSV)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry point. arguments are those of the command line unless given."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    answer(lambda _: USAGE, given)
    sys.exit(exit_code_of(lambda: _run(given)))


def _run(arguments: Sequence[str]) -> None:
    command = arguments[0] if arguments else ""
    if command not in _KEYS:
        raise ConfigError("name what to do: smule-table schema FILE, or smule-table check FILE schema=schema.yaml")
    files = [argument for argument in arguments[1:] if "=" not in argument or Path(argument).exists()]
    if len(files) != 1:
        raise ConfigError(f"name one table: smule-table {command} customers.csv")
    values = _values([argument for argument in arguments[1:] if argument not in files], _KEYS[command])
    file = TableFile.open(Path(files[0]), parse(CsvFormat, {key: values[key] for key in _OF_CSV if key in values}))
    if command == "schema":
        _draft(file, values)
    else:
        _check(file, values)


def _values(settings: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in known:
            raise ConfigError(f"{quoted(key)}: unknown key {suggest(key, list(known))}")
        if key in values or not value:
            raise ConfigError(f"{key}: give one value, as in {key}=...")
        values[key] = value
    return values


def _draft(file: TableFile, values: dict[str, str]) -> None:
    output = values.get("output")
    if output is not None and Path(output).exists():
        raise OutputError(f"{output} exists already; move it away, or name another output=")
    proposals = propose([file], _names(values.get("target", "")), ignore=_names(values.get("ignore", "")))
    for proposal in proposals:
        reason = proposal.doubt or proposal.note
        if reason:
            kept = "is left out: " if proposal.note else ""
            print(f"column {quoted(proposal.name)} {kept}{reason}", file=sys.stderr)
    text, blank = draft(proposals, "target" in values, _confirmation(values.get("confirm"), proposals))
    if output is None:
        print(text, end="")
    else:
        write_text(Path(output), text, public=True)
        print(f"wrote {output}")
    missing = [] if "target" in values else ["no column has role target"]
    missing += [f"{len(blank)} column(s) have blanks (???) to be filled in with the other party"] if blank else []
    print("; ".join(missing) or "whole: show it to the other party, who uses the same file", file=sys.stderr)


def _confirmation(confirm: str | None, proposals: Sequence[Proposal]) -> Callable[[Proposal], bool]:
    """Whether values of a column may be in the schema: as the command line or a person at the terminal says."""
    if confirm == "all":
        return lambda proposal: True
    if confirm is not None:
        names, with_values = _names(confirm), [proposal.name for proposal in proposals if proposal.values]
        for name in names:
            if name not in with_values:
                raise ConfigError(
                    f"confirm: no values of {quoted(name)} would be in a schema {suggest(name, with_values)}"
                )
        return lambda proposal: proposal.name in names
    return _asked if sys.stdin.isatty() else lambda proposal: False


def _asked(proposal: Proposal) -> bool:
    values = "; ".join(f"{key} {value}" for key, value in (proposal.values or {}).items())
    whose = ", of this table's rows alone" if proposal.kind == "numeric" else ""
    if whose and proposal.role == "target":
        whose += ", by which both parties' targets are scaled: rather leave it blank if the other party's differ"
    # On stderr: the schema may go to stdout.
    text = f"column {quoted(proposal.name)}: {values}{whose}. May the other party read that? [y/N] "
    print(text, end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _check(file: TableFile, values: dict[str, str]) -> None:
    if "schema" not in values:
        raise ConfigError("schema: name the schema to check by, as in schema=schema.yaml")
    schema = read_schema(Path(values["schema"]))
    rows, wrong = misfits(file, schema)
    for line in wrong:
        print(line)
    if wrong:
        raise DataError(f"{file.path}: {len(wrong)} column(s) do not fit {values['schema']}")
    inputs, outputs = len(schema.features), ", ".join(schema.class_names)
    print(f"{file.path} fits: {rows:,} rows, {inputs} columns; {schema.task}: {outputs}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    main()
