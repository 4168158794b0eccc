"""Feature specs: what is extracted. Entries, levels, presets and imports."""
