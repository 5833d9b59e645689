"""Attacks on mutual learning and on the schemes, for simulations and tests only.

Sees data/, models/ and config/. No party imports it.
"""
