"""The table: its layout on disk, and how a run changes it."""
