"""Linear layers of two parties alone, by ring learning with errors (ring-LWE): no dealer, and nothing is decrypted.

Which coefficient holds which pixel, the masked weights, the hand-over of a layer's input, the rounding of its result.
Sees models/, fixed_point/, and of mpc/ streams, keys and packing.
"""
