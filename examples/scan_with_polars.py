"""Scan a table with Polars: the files that are furthest from the other files of their label.

    python examples/scan_with_polars.py TABLE --top 5

The query is lazy. Polars reads the columns that it needs, several parts at a time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl

import featurelib


def feature_columns(table: Path) -> list[str]:
    """Return the names of the feature columns of a table, in order, without series."""
    metadata = json.loads((table / "_job" / "table.json").read_text())
    # not by the spec, which may name a file of code: a table can come from anybody
    return [
        column["name"]
        for column in metadata["columns"]
        if column["type"] == "float" and column["name"] not in featurelib.SIGNAL_COLUMNS
    ]


def outliers(rows: pl.LazyFrame, features: list[str]) -> pl.LazyFrame:
    """Rank files by their distance from the median file of their label.

    Parameters
    ----------
    rows : LazyFrame
        Columns ``path``, ``label`` and `features`.
    features : list of str
        Columns of numbers.

    Returns
    -------
    LazyFrame
        ``path``, ``label`` and ``distance``, the largest first: the mean over the features of
        the distance from the median, in interquartile ranges of the feature.
    """
    files = rows.group_by("path", "label").agg(pl.col(features).mean())  # of a file's segments
    iqr = [pl.col(name).quantile(0.75) - pl.col(name).quantile(0.25) for name in features]
    distances = [
        (pl.col(name) - pl.col(name).median().over("label")).abs() / pl.when(width > 0).then(width)
        for name, width in zip(features, iqr, strict=True)
    ]
    distance = pl.mean_horizontal(distances).alias("distance")
    return files.select("path", "label", distance).sort(
        "distance", "path", descending=[True, False]
    )


def main() -> None:
    """Print the files that differ most."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", metavar="TABLE", type=Path)
    parser.add_argument("--top", type=int, default=5, help="How many files (default: 5).")
    arguments = parser.parse_args()

    rows = pl.scan_parquet(arguments.table / "features/**/*.parquet").filter(~pl.col("is_silent"))
    found = outliers(rows, feature_columns(arguments.table)).head(arguments.top).collect()
    for path, label, distance in found.iter_rows():
        # Names may hold anything. repr escapes what would control a terminal.
        print(f"{distance:6.2f}  {label!r}  {path!r}")


if __name__ == "__main__":
    main()
