"""Spectrogram images of a corpus: one PNG a file or segment, and a table that names them."""
