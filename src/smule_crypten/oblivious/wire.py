"""Integers as they cross the wire: mpc/packing.py on NumPy arrays."""

from __future__ import annotations

import torch

from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Fields

__all__ = ["pack_fields", "packed_bytes", "unpack_fields"]


def pack_fields(values: Fields, width: int) -> Bytes:
    """The low `width` bits (1 to 64) of each value (n,), in packed_bytes(n, width) bytes."""
    data: Bytes = pack(torch.from_numpy(values.view("int64")), width).numpy()
    return data


def unpack_fields(data: Bytes, count: int, width: int) -> Fields:
    """Undo `pack_fields`: (count,)."""
    if len(data) != packed_bytes(count, width):
        raise ValueError(f"{count} integers of {width} bits are {packed_bytes(count, width)} bytes, got {len(data)}")
    values: Fields = unpack(torch.from_numpy(data.copy()), count, width).numpy().view("uint64")
    return values
