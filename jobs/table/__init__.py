"""What is on disk, and how it changes."""
