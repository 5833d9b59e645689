"""Tables: the public schema of one, reading CSV and Parquet by it, and drafting it from a file.

Sees config/ and the modules beside the rooms; pandas and scikit-learn are imported where they are needed. Rows become
NumPy arrays here; data/ makes samples of them.
"""
