"""What the parties ask, answer and keep: queries and selection, budget and ledger, handshake, exchange, alarm.

Sees training/, data/, models/ and the contract of a scheme (inference/scheme.py), no process and no report.
"""
