"""Benchmarks: each prints a ratio against what the rate or the raw ceiling of the same run allows."""
