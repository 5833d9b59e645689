"""Floor 5: mutual learning itself, with whatever peer: a party asks, answers, and learns from what it was told. Sees a
scheme by its contract; knows nothing of processes, files and links."""
