"""What the oldest torch that is accepted refuses, and newer ones do not (docs/limitations.md, Versions)."""

from __future__ import annotations

import pytest
import torch
from packaging.version import Version

FROM_TORCH_2_13 = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="torch 2.6 refuses this, see docs/limitations.md"
)
