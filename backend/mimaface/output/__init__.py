"""Outputs for frames: folders of PNGs, single pictures, films with sound, a preview window."""
