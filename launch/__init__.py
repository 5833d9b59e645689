"""The command line: thin Hydra shells around processes/."""
