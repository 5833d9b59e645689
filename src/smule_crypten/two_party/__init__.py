"""One direction of two parties alone: its public plan and cost, its two roles, and the correlations they take.

Joins lattice/, comparison/ and oblivious/ for scheme `two_party`, which inference/two_party/ offers by the contract.
Sees models/, fixed_point/, mpc/ and those three.
"""
