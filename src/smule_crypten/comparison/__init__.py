"""The non-linear layers of two parties alone: comparison, AND tree, selection, and the way to a wider ring.

A whole ReLU of a batch, or a truncation without one, as a script of messages for each role. Nothing calls it yet.
Sees errors, the packing of integers, and oblivious/.
"""
