"""What mutual learning is compared with: FedAvg, and full training under secret sharing.

Sees simulation/ and party/, whose processes it starts.
"""
