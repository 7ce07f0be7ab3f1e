"""Training: one loop on accelerate; stages differ by what they train and on what."""
