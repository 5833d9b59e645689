"""What people look at in a browser: report.html, and the live page of a run that smule-watch serves.

Sees only errors, types, the names of metrics, files, and report/: it shows what records say.
"""
