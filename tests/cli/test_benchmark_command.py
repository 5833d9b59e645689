"""`smule-benchmark` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("smule-benchmark")
NETWORKS = "suite.networks=[{model:{name:mlp,options:{hidden:[8]}}}]"


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_a_suite_with_keys_of_both_configurations(tmp_path: Path) -> None:
    """Protects: the groups and keys of smule and those of the suite compose, and the results are where Hydra says."""
    folder = tmp_path / "suite"
    ended = call("suite=scaling", NETWORKS, "suite.queries=[2]", "training.trust=none", f"hydra.run.dir={folder}")
    assert ended.returncode == 0, ended.stderr
    assert "1 case(s) run, 0 kept" in ended.stdout
    results = json.loads((folder / "results.json").read_text())
    assert [row["queries"] for row in results["tables"][0]["rows"]] == [2, 2, 2, 32]
    assert (folder / "results.html").exists()


def test_a_suite_with_settings_of_its_own(tmp_path: Path) -> None:
    """Protects: settings are chosen and changed on the command line, and both parties learn in this very process."""
    folder = tmp_path / "suite"
    chosen = ("suite.only=[few_labels]", "suite.changes.training.epochs=1", "suite.methods=[alone,smule]")
    ended = call("suite=learning_digits", *chosen, f"hydra.run.dir={folder}")
    assert ended.returncode == 0, ended.stderr
    assert "2 case(s) run, 0 kept" in ended.stdout
    results = json.loads((folder / "results.json").read_text())
    (row,) = results["tables"][0]["rows"]
    assert (row["setting"], row["party"], row["queries"]) == ("few_labels", "a", 40)
