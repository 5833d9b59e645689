"""Plain PyTorch training over a source of soft labels: losses, trust, combination, checkpoints, private training.

Sees data/ and models/. Knows no peer, scheme or process; a test trains with a dictionary as the peer.
"""
