"""A network as integers: the steps of a program with their widths, the scales, and what evaluates them.

The part of the lean scheme that does not ask who holds which share and where the randomness comes from. Sees models/,
and of mpc/ the session whose channel carries what the roles post.
"""
