"""Comparisons that smule-benchmark runs, each case kept on disk.

Sees every other room but launch/.
"""
