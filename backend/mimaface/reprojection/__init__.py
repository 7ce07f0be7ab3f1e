"""The photograph on the posed head."""
