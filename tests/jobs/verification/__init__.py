"""Tests of `jobs.verification`."""
