"""A ridge head on public features, of both parties' rows, whose weights stay shared: nobody ever sees them.

The head's features, sums over own rows, the solve in the clear and under sharing, its exact cost, asking the head, and
what a party guesses of it by the answers. Knows neither runs nor processes: roles are generators without I/O.
docs/joint-head.md describes it step by step. Sees config/, data/, features/ and the public types, and of mpc/,
fixed_point/ and lattice/ streams, packing, the wire, polynomials and their parameters.
"""
