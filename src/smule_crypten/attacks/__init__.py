"""Floor 3: attacks on mutual learning, for simulation only. Imports neither mpc, inference, exchange nor training."""
