"""Tests of `jobs.models`."""
