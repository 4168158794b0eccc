"""What a run tells: progress, log and report."""
