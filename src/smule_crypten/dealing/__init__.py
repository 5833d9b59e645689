"""The dealer between hosts: one run after another, its folder, its audit log and its status.

Sees all floors below: party/ brings it together with both parties, mpc/ deals.
"""
