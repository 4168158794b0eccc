"""Compiled inner loops.

Spectra of a block of frames are arrays of shape (batches, bins, LANES): frame t is lane
t % LANES of batch t // LANES, and lanes beyond the last frame hold numbers of no meaning.
Results have one row, or one number, a frame.

Each kernel is compiled at its first call and kept in numba's cache on disk. Sums are in
float64 or of few float32 terms; what has to equal librosa's float32 arithmetic bit by bit
(magnitudes, roll-off, spectral peaks) does its operations in librosa's order.
"""
