"""The configuration: every section as a frozen, validated model, and the tables of choices they name.

Sees errors, types and files. run.py puts the sections together: a run, a party, the dealer.
"""
