"""Integers as they cross the wire: mpc/packing.py on NumPy arrays."""

from __future__ import annotations

import numpy as np
import torch

from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Fields

__all__ = ["pack_fields", "packed_bytes", "refuse_other_fields", "unpack_fields"]


def refuse_other_fields(values: Fields, count: int) -> None:
    """Raise unless values are uint64 (count,): NumPy would repeat a single one, and read floats as they lie."""
    if values.dtype != np.uint64 or values.shape != (count,):
        raise ValueError(f"{count} integers are uint64 ({count},), got {values.dtype} {values.shape}")


def pack_fields(values: Fields, width: int) -> Bytes:
    """The low `width` bits (1 to 64) of each value (n,), in packed_bytes(n, width) bytes."""
    refuse_other_fields(values, len(values))
    if not len(values):
        return np.empty(0, dtype=np.uint8)
    data: Bytes = pack(torch.from_numpy(values.view("int64")), width).numpy()
    return data


def unpack_fields(data: Bytes, count: int, width: int) -> Fields:
    """Undo `pack_fields`: (count,)."""
    due = packed_bytes(count, width)
    if data.dtype != np.uint8 or data.shape != (due,):
        raise ValueError(f"{count} integers of {width} bits are {due} bytes, got {data.dtype} {data.shape}")
    values: Fields = unpack(torch.from_numpy(data.copy()), count, width).numpy().view("uint64")
    return values
