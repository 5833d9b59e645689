"""Floor 2: a run record as tables, files, plots and one HTML page. Imports only errors, types and files."""
