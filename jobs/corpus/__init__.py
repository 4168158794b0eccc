"""The corpus: its files, their versions and their labels."""
