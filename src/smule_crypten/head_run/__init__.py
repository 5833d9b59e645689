"""The joint head of a run between two processes: what it costs, keys, messages over the session, state, disclosures.

joint_head/ has the roles, without I/O; here they speak. Sees the public types, a party's samples and task, the room
joint_head/, sessions, keys and streams of mpc/, the wire's roles, the contract of schemes, the meter, records, and a
head's budget.
"""
