"""smule-predict and smule-estimate: a party with a trained network asks its peer once.

Sees party/; nothing of simulation/ or attacks/.
"""
