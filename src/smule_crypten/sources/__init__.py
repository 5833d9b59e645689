"""Inputs that are read as they are needed: from image files, from arrays on disk, by processes that read ahead.

Sees `images` and what lies below it; knows nothing of labels, parties or training.
"""
