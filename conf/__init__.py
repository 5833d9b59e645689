"""The Hydra configuration groups, installed as package data."""
