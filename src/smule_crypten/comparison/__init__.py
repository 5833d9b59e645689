"""The non-linear layers of two parties alone: comparison, AND tree, selection, and the way to a wider ring.

A whole ReLU of a batch as a script of messages for each role. A truncation is a ReLU with an
offset: without the comparison, D's own share would decide whether a value beyond the range wraps, and D would see it.
Sees errors, the packing of integers, and oblivious/.
"""
