"""The status of a running process: one small file in its folder, and whether the process is well.

Sees errors, types, files and config/ only, so that looking at a status imports nothing that is heavy.
"""
