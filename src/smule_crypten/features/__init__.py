"""Public features: frozen public maps that each party applies to its own samples, in the clear, before anything else.

Sees config/, data/ and models/.
"""
