"""Attacks on mutual learning and on the schemes, for simulations and tests only.

Sees config/, data/, models/ and joint_head/. No party imports it.
"""
