"""One organisation's process from start to end: links, inputs, exchanges, states to resume from, records.

Sees the rooms below it; nothing of attacks/ and simulation/, which hand in what a simulated party does otherwise
(hooks.py).
"""
