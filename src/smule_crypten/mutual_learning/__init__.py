"""The algorithm, once (loop.py), and the other party as it sees it (peer.py): queries, budget, handshake, alarm.

Sees training/, data/, models/, records and the contract of a scheme (inference/scheme.py, answerer.py, noise.py), no
process.
"""
