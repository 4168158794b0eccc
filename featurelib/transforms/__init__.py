"""Transforms that features read: frames, STFT, mel spectrum, tuning."""
