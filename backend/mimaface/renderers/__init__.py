"""What a user picks: ways from portrait and poses to frames."""
