"""Silent correlated oblivious transfer between two parties, and what is made of it: transfers, tables, AND triples.

Sees errors and the packing of integers; a caller brings the wire, the randomness and the time. Semi-honest parties.
"""
