"""The scheme of the two parties alone: lattices for the linear layers, silent transfers for ReLU, and no third party."""
