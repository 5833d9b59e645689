"""Secure mutual learning between two parties, on CrypTen. README.md beside this file lists the modules."""

from smule_crypten._version import __version__

__all__ = ["__version__"]
