"""What a run leaves for people and programs: records, tables, the figure of a sweep, logs.

Sees only errors, types, the names of metrics, and files: it is handed records and reads nothing of the run itself.
"""
