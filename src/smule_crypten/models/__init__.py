"""Floor 2: networks and their public architecture. Imports only errors, types and config."""
