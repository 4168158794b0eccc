"""Benchmarks: they assert values, and print speeds as ratios. Run with ``make bench``."""
