"""Floor 5: when to ask, what to ask, what was answered. Sees a scheme only through its contract."""
