"""Terms that both parties approve: one canonical file, their signatures, and whether a run is what was approved.

Sees errors, types, files, config/, the keys and signatures of transport/, and how report/ flattens settings.
"""
