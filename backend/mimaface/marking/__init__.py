"""Provenance marks: a watermark in pixels, XMP and signed content credentials in files, and a reader of all three."""
