"""Training data in one sample schema: rendered synthetic heads and recorded video."""
