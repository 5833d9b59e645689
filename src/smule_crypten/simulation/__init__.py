"""Both parties and the dealer on one machine, followed, compared with local controls and reported.

Sees party/ and attacks/.
"""
