"""Networks: their public architecture, the translation into it, the zoo, and how large their values become.

Sees config/ and the modules beside the rooms, not data/. Nothing here is secret-shared: mpc/ and fixed_point/ evaluate
what is described here.
"""
