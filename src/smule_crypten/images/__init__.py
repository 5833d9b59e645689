"""Image files: listing the folders that hold them, and reading one of them, DICOM included, without losing depth.

Sees config/ and the modules beside the rooms. Nothing here knows samples or labels.
"""
