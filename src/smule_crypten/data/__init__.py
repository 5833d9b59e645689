"""Samples: reading them, checking what a file or a user's code hands over, and splitting them between parties.

Sees config/ and the modules beside the rooms. Nothing here knows a network, a peer or a process.
"""
