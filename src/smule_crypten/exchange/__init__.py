"""Floor 5: when and what to ask, what was answered. Sees a scheme by its contract, and how training looks at images."""
