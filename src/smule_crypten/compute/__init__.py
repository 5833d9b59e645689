"""Training on a party's own hardware: several processes, reduced precision, compiled steps.

A thin layer around training/: a `Computing` for each trainer. Process 0 of a party is the party: it alone meets the
peer, reads data, writes files and keeps what is decided. The others (worker.py) hear from it, epoch by epoch, what to
train and from what, and compute their part of every batch. Only own_computing.py, environment.py and group.py know
Lightning Fabric.

Sees training/ and what lies below it.
"""
