from __future__ import annotations

from pathlib import Path

import pytest
from image_folders import write_folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no test changes."""
    return write_folder(tmp_path_factory.mktemp("photographs"))
