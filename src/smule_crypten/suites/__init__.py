"""Floor 6, above processes/: suites of comparisons, which smule-benchmark runs. Sees everything below."""
