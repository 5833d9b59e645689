"""Floor 7: suites of comparisons, which smule-benchmark runs. Sees everything below but launch/."""
