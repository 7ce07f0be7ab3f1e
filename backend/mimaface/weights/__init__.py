"""Installation, verification and conversion of model folders."""
