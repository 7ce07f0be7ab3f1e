"""What pictures and meshes have in common: cameras, rasterising, interpolation. Nothing here depends on a face."""
