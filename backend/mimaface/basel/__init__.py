"""What only the released weights need: the Basel face model, its networks and crops."""
