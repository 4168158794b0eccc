"""Transforms that features read: frames, spectra, mel bands, tuning."""
