"""The audit log of one side: what matters to an auditor, one line per event, each with the digest of the line before.

Sees errors, types, files, config/, terms/, the records and words of report/, and the budget and ledger of
mutual_learning/, to which it listens: it counts nothing itself.
"""
