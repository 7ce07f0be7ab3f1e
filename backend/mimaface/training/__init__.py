"""Training: one accelerate loop for all stages."""
