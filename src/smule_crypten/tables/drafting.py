"""A schema from a table: whole, for a simulation, or as a draft that holds no values of the data unless confirmed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from smule_crypten.config.config_reading import describe_validation, suggest
from smule_crypten.errors import ConfigError, DataError, quoted
from smule_crypten.tables.profile import profile
from smule_crypten.tables.proposal import Proposal, propose_feature, propose_targets
from smule_crypten.tables.schema import BLANK, MISSING_VALUES, Kind, TableSchema, composed
from smule_crypten.tables.schema_file import schema_text
from smule_crypten.tables.source import TableFile, listed

_DOUBTS_SHOWN = 5
_DRAFT = f"""\
The public schema of a table. Both parties use the same file; the other party reads all of it.
Kinds, missing and ignore follow from the data of the party that drafted it: change what the other party must not read.
Fill in each {BLANK}, together with the other party:
  role        feature, target (to be predicted) or ignore
  kind        numeric, boolean or categorical
  centre      of a numeric column: a typical value; scale: a spread, above 0; of the target by both parties' values
  categories  all values of a categorical column, those of both parties, in one order
  missing     true where values may be missing, at either party
  other       the category that stands for all values that are not listed"""


def propose(
    files: Sequence[TableFile],
    targets: Sequence[str],
    *,
    ignore: Collection[str] = (),
    missing_values: Collection[str] = MISSING_VALUES,
    target_kind: Kind | None = None,
) -> list[Proposal]:
    """What each column of these files seems to be, in their order. All must have the columns of the first one.

    Raises:
        ConfigError: targets or ignore name a column that is not there.
        DataError: a file cannot be read.
    """
    names = [name for name in files[0].names if name]
    targets, ignore = [composed(name) for name in targets], {composed(name) for name in ignore}
    for key, named in (("data.target", targets), ("data.options.ignore", ignore)):
        for name in named:
            if name not in names:
                raise ConfigError(f"{key}: {files[0].path} has no column {quoted(name)} {suggest(name, names[:30])}")
    for file in files[1:]:
        if set(names) != set(file.names) - {""}:
            differing = sorted(set(names) ^ (set(file.names) - {""}))
            raise DataError(f"{files[0].path} and {file.path} have different columns: {listed(differing)}")
    if both := set(targets) & ignore:
        raise ConfigError(f"data.options.ignore: {quoted(min(both))} is to be predicted")
    found = profile(files, [name for name in names if name not in ignore], set(missing_values))
    proposals = {name: propose_feature(of_column) for name, of_column in found.items() if name not in targets}
    if targets:
        proposals |= zip(targets, propose_targets([found[name] for name in targets], target_kind), strict=True)
    proposals |= {name: Proposal(name, "ignore") for name in ignore}
    return [proposals[name] for name in names]


def derive(
    files: Sequence[TableFile],
    targets: Sequence[str],
    *,
    ignore: Collection[str] = (),
    missing_values: Collection[str] = MISSING_VALUES,
    target_kind: Kind | None = None,
) -> tuple[TableSchema, list[str]]:
    """A schema with all constants and categories of these files, and what was left out.

    Raises:
        ConfigError: as propose.
        DataError: a file cannot be read, or it is not clear what a column is.
    """
    proposals = propose(files, targets, ignore=ignore, missing_values=missing_values, target_kind=target_kind)
    path = files[0].path
    _refuse_doubts(path, [proposal for proposal in proposals if proposal.doubt], ignore)
    values = {"columns": [proposal.column for proposal in proposals], "missing_values": list(missing_values)}
    try:
        schema = TableSchema.model_validate(values)
    except ValidationError as error:
        raise DataError(f"{path}: {describe_validation(error)}") from None
    notes = [f"column {quoted(proposal.name)} is left out: {proposal.note}" for proposal in proposals if proposal.note]
    if "" in files[0].names:
        notes.append("a column without a name is left out")
    return schema, notes


def _refuse_doubts(path: Path, doubtful: Sequence[Proposal], ignored: Collection[str]) -> None:
    """All in one message, so that one run tells all."""
    for proposal in doubtful:
        if proposal.role == "target":
            raise DataError(f"{path}, column {quoted(proposal.name)}, which is to be predicted: {proposal.doubt}")
    if not doubtful:
        return
    shown = [f"column {quoted(proposal.name)}: {proposal.doubt}" for proposal in doubtful[:_DOUBTS_SHOWN]]
    if len(doubtful) > _DOUBTS_SHOWN:
        shown.append(f"and {len(doubtful) - _DOUBTS_SHOWN} more")
    each = "; ".join(shown)
    them, they_are = ("it", "it is") if len(doubtful) == 1 else ("them", "they are")
    left_out = [*ignored, *(proposal.name for proposal in doubtful)]
    names = ",".join(json.dumps(name, ensure_ascii=False) for name in left_out)
    raise DataError(
        f"{path}, {each}; leave {them} out by 'data.options.ignore=[{names}]', or say in a schema what {they_are} "
        "(smule-table schema)"
    )


def draft(
    proposals: Sequence[Proposal], has_target: bool, confirmed: Callable[[Proposal], bool]
) -> tuple[str, list[str]]:
    """The text of a schema with blanks, and the names of the columns that have any.

    Args:
        confirmed: whether the values of a column may be in the schema, which the other party reads.
    """
    columns = [_drafted(proposal, confirmed) for proposal in proposals]
    blank = [column["name"] for column in columns if BLANK in map(str, column.values())]
    comment = _DRAFT if has_target else f"{_DRAFT}\nNo column has role target yet: give it to the one to be predicted."
    return schema_text(columns, {"missing_values": list(MISSING_VALUES)}, comment), blank


def _drafted(proposal: Proposal, confirmed: Callable[[Proposal], bool]) -> dict[str, Any]:
    column = proposal.column
    if proposal.doubt:
        return {"name": proposal.name, "role": BLANK}
    if proposal.values and not confirmed(proposal):
        column |= dict.fromkeys(proposal.values, BLANK)
    return column
