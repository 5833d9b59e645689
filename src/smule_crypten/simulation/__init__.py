"""Both parties and the dealer on one machine, as processes or in this one: adversary, local controls, fidelity.

Sees party/ and attacks/, and hands the party what it does otherwise in a simulation.
"""
