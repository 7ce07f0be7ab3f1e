"""How good generated frames are: the paper's metrics, each named with what read it."""
