"""The joint head of a run between two processes: what it costs, keys, messages over the session, state, disclosures.

joint_head/ has the roles, without I/O; here they speak. Sees the public types, joint_head/, of mpc/ sessions, keys,
streams and packing, the wire's roles, the budget of a head, and reads no data: rows and sums are handed in.
"""
