"""The joint head of a run between two processes: what it costs, keys, messages over the session, state, disclosures.

joint_head/ has the roles, without I/O; here they speak. Rows and sums are handed in. Sees the public types, the room
joint_head/, sessions, keys and streams of mpc/, the wire's roles, the contract of schemes, the meter, and a head's
budget.
"""
