"""Floor 2: loading and splitting data. Imports only errors, types and config."""
