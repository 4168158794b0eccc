"""The events of a run, and their observers: progress, log and report."""
