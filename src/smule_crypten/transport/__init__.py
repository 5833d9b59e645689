"""Authenticated links between processes: credentials, admission, meeting, frames, and exact counters of bytes.

Sees errors and types. Knows neither torch.nn nor crypten: a tensor is bytes of a known shape.
"""
