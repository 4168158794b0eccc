"""What one would write with Dask and librosa: ``python -m tests.benchmarks.bag FOLDER TABLE``."""

from __future__ import annotations

import sys
from pathlib import Path

import dask.bag
import pandas as pd

from tests.benchmarks.plain import plain_tutorial


def row(path: str) -> dict[str, float | str]:
    """Return the row of a file."""
    return {"path": path, **plain_tutorial(path)}


if __name__ == "__main__":
    paths = sorted(map(str, Path(sys.argv[1]).glob("*.wav")))
    bag = dask.bag.from_sequence(paths, npartitions=8)
    rows = bag.map(row).compute(scheduler="processes", num_workers=2)
    pd.DataFrame(rows).to_parquet(sys.argv[2])
