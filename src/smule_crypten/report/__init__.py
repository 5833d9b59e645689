"""What a run leaves for people and programs: records, tables, figures, one HTML page, logs.

Sees only errors, types, the names of metrics, and files: it is handed records and reads nothing of the run itself.
"""
