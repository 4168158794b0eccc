"""Extraction of shards, in this process or on a Dask cluster."""
