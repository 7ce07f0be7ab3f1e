"""Training data: heads that this repository renders itself, and recorded video, in one sample schema."""
