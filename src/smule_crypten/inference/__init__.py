"""Secure inference: the contract of a scheme, the schemes, and one table of them.

Sees fixed_point/, mpc/ and models/, never data/. Whoever uses a scheme sees its contract, scheme.py.
"""
