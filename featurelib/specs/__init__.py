"""What is to be extracted: specs, their entries and the presets."""
