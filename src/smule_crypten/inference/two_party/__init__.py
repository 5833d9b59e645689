"""The scheme of the two parties alone: lattices for linear layers, silent transfers for ReLU, no third party."""
