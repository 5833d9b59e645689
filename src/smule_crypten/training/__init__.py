"""Floor 3: plain PyTorch training. Imports neither mpc, inference nor exchange."""
