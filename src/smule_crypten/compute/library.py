"""The library of the extra `compute`, which is needed only for other settings than the defaults."""

from __future__ import annotations

from importlib.util import find_spec

from smule_crypten.errors import ConfigError


def require_fabric(setting: str) -> None:
    """Raise ConfigError where Lightning Fabric is not installed, which this setting needs."""
    if find_spec("lightning_fabric") is None:
        raise ConfigError(
            f"{setting} needs Lightning Fabric, which is not installed: pip install -c constraints.txt -e '.[compute]'"
        )
