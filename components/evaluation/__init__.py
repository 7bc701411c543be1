"""Metrics, slices, pictures and the judge."""
