"""Floor 5: when to ask, what to ask, what was answered. Sees a scheme by its contract, of training only evaluate."""
