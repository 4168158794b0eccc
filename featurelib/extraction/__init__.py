"""Extraction: from a file or a signal to rows of features."""
