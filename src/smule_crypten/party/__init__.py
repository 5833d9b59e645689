"""One organisation's process from start to end: links, inputs, exchanges, states to resume from, records.

Composes the rooms below it. Sees nothing of simulation/; what it still sees of attacks/ is listed in
tests/test_layers.py.
"""
