"""Cameras, rasterising, meshes and interpolation, independent of faces."""
