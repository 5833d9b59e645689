"""The command line: thin Hydra shells around party/, simulation/ and the rooms beside them."""
