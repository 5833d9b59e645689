"""smule-doctor: every check that can be made before the day of a run, and a rehearsal of an exchange.

Sees party/; nothing of simulation/ or attacks/.
"""
