"""Local folders, S3 and any other fsspec URL behind one interface."""
