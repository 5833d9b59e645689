"""The lean scheme: asymmetric roles, one short opening an activation. docs/protocol.md describes it step by step."""
