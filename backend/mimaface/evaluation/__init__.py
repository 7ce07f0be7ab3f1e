"""Evaluation of generated frames by the paper's metrics, each named with its extractor."""
