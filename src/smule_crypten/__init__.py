"""Secure mutual learning between two parties, on CrypTen. README.md beside this file is a map of the rooms."""

from smule_crypten._version import __version__

__all__ = ["__version__"]
