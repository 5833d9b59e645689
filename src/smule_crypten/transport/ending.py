"""How a process that fails ends its links."""

from __future__ import annotations

from collections.abc import Collection

from smule_crypten.errors import PeerError, SmuleError
from smule_crypten.transport.link import Link
from smule_crypten.types import DEALER


def give_up(links: Collection[Link], error: BaseException) -> None:
    """End the links because of error. The other sides learn of it, and what it was if that is public.

    The dealer learns the kind of error only, and about which process it is: what the parties disagree on is not its
    business.
    """
    kind = type(error).__name__
    about = f" ({error.about})" if isinstance(error, PeerError) and error.about is not None else ""
    kind_only = f"{kind}{about}; see its own log"
    is_public = isinstance(error, SmuleError) and error.tell_peer
    for link in links:
        link.refuse(str(error) if is_public and link.peer != DEALER else kind_only, kind)
    for link in links:
        link.close()
