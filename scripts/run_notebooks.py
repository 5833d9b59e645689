"""Runs notebooks from top to bottom, each in an empty folder, and keeps their outputs.

    python scripts/run_notebooks.py [NAME...]
    python scripts/run_notebooks.py --check [NAME...]      changes nothing, fails where outputs are of other kinds

Times are taken out. Figures differ a little from run to run where keys and noise are fresh, and between processors.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


def main(arguments: list[str]) -> int:
    """Runs the notebooks of these names, or all; 1 if a check fails."""
    check = "--check" in arguments
    names = [name for name in arguments if name != "--check"]
    for path in [NOTEBOOKS / f"{name}.ipynb" for name in names] or sorted(NOTEBOOKS.glob("*.ipynb")):
        kept, notebook = nbformat.read(path, as_version=4), executed(path)
        if not check:
            path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            print(f"wrote {path}")
        elif kinds_of_outputs(kept) != kinds_of_outputs(notebook):
            print(f"{path} prints or draws something else now: run scripts/notebooks", file=sys.stderr)
            return 1
    return 0


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh run; a cell that raises raises here."""
    notebook = nbformat.read(path, as_version=4)
    # Commands of the package are beside this Python, also where its environment is not active.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources, record_timing=False).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def kinds_of_outputs(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """For each cell of code what it gives: printed text, a table, a plot."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        [" ".join([output.output_type, *sorted(output.get("data", ()))]) for output in cell.outputs] for cell in code
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
