"""The Basel face model with its networks and crops, which only the released weights use."""
