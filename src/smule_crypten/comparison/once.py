"""What serves once.

A second use of a mask would be a relation between two inputs, and a second turning (turning.py) one of two choices.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False, repr=False)
class ServesOnce:
    """Of a batch: what was prepared for it."""

    _has_served: bool = field(default=False, init=False)

    def serve(self) -> None:
        """For the only use that is made of it.

        Raises:
            ValueError: it has served.
        """
        if self._has_served:
            raise ValueError(f"{type(self).__name__} has served; what is prepared for a batch serves once")
        self._has_served = True
