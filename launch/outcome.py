"""How a command ends: what a user can mend in one line on stderr, and the exit code (see errors.py)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from smule_crypten.errors import INTERRUPTED_EXIT_CODE, SmuleError
from smule_crypten.files import output_error
from smule_crypten.launch.composition import explain

MENDABLE = (SmuleError, HydraException, OmegaConfBaseException, OSError)


def exit_code_of(task: Callable[[], object]) -> int:
    """Run task, show how it failed, and return the exit code. Errors that nobody expected pass through."""
    try:
        task()
    except MENDABLE as error:
        return show(error).exit_code
    except KeyboardInterrupt:
        print("smule: interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    return 0


def show(error: Exception) -> SmuleError:
    """Print the error in one line, after the tracebacks of the parties if that line explains nothing."""
    explained = _explained(error)
    for traceback in getattr(explained, "__notes__", []):
        print(traceback, file=sys.stderr)
    print(f"smule: error: {explained}", file=sys.stderr)
    return explained


def _explained(error: Exception) -> SmuleError:
    if isinstance(error, SmuleError):
        return error
    if isinstance(error, OSError) and not isinstance(error, HydraException):  # Hydra's missing file is both
        return output_error(Path(error.filename or "."), error)
    return explain(error)
