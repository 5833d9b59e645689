"""To the ring of the next layer without a ReLU: the lift alone (lift.py), with an offset.

Z = 2^t c + v modulo 2^(w + t) as for a ReLU, -2^(w + t - 2) <= Z < 2^(w + t - 2), to shares modulo 2^(k + t).
1. M adds 2^(w + t - 2): the value is not negative and has no highest bit.
2. Lift: M -> D 1 bit, D -> M k - w bits a value, one transfer of D's instance. 2. M takes the offset off again.

15 bits a value at w = 18, k = 32; two messages. Nothing is opened. Beyond the range the result is off by 2^(w + t).
"""

from __future__ import annotations

import numpy as np

from smule_crypten.comparison import cost, lift
from smule_crypten.comparison.conversation import Conversation
from smule_crypten.comparison.widths import Widths, modulo, require_as_many, row_bytes
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots
from smule_crypten.oblivious.script import Script
from smule_crypten.oblivious.wire import packed_bytes


def truncate_model_owner(widths: Widths, cots: ReceiverCots, share: Fields) -> Script[Fields]:
    """share: c modulo 2^w (n,). Ends with M's share of the result."""
    shifted = modulo(share << np.uint64(widths.guard_bits), widths.fine)
    if not widths.extension:
        return shifted
    require_as_many(share, len(cots))
    offset = np.uint64(1 << (widths.fine - 2))
    shifted = modulo(shifted + offset, widths.fine)
    talk = Conversation(cost.truncation_cost(len(share), widths).online, is_model_owner=True)
    message, turned = lift.hint(cots, shifted, widths.fine)
    talk.say(message)
    wraps = yield from talk.hear(packed_bytes(len(share), widths.extension))
    which = np.zeros(len(share), dtype=np.uint8)
    lifted = lift.receive_wraps([turned], which, shifted, wraps, widths.fine, widths.extension)
    return modulo(lifted - offset, widths.ring + widths.guard_bits)


def truncate_data_owner(widths: Widths, cots: SenderCots, share: Fields) -> Script[Fields]:
    """share: v modulo 2^(w + t) (n,). Ends with D's share of the result."""
    share = modulo(share, widths.fine)
    if not widths.extension:
        return share
    require_as_many(share, len(cots))
    talk = Conversation(cost.truncation_cost(len(share), widths).online, is_model_owner=False)
    flips = yield from talk.hear(row_bytes(len(share)))
    which = np.zeros(len(share), dtype=np.uint8)
    wraps, lifted = lift.send_wraps([cots.turned(flips)], which, share, widths.fine, widths.extension)
    talk.say(wraps)
    yield from talk.flush()
    return lifted
