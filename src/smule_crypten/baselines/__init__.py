"""What mutual learning is compared with: FedAvg, and full training under secret sharing.

Sees party/, whose processes it starts.
"""
