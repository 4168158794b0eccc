"""One picture of the spectrogram of each file of a corpus, by a Dask job."""
