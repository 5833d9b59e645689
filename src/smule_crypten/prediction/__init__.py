"""The trained party at work: it asks its peer once (smule-predict, smule-estimate), or exports its network.

Sees party/; nothing of simulation/ or attacks/.
"""
