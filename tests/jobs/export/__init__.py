"""Tests of `jobs.export`."""
