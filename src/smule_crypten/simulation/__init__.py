"""Both parties, and a dealer if one deals, on one machine, as processes or in this one: adversary, controls, fidelity.

Sees party/ and attacks/, and hands the party what it does otherwise in a simulation.
"""
