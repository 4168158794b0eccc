"""Read a table with pandas: hours of each label, failed files, the features that differ most.

    python examples/read_with_pandas.py TABLE

``TABLE/features`` is one DataFrame, with a row for each file or segment. The columns of its
features are those of the spec, which stands in ``TABLE/_job/table.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

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


def hours_by_label(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the files of each label and their hours.

    A file with several rows (segments, channels) counts once: by its first row.
    """
    files = rows.drop_duplicates("path")
    seconds = files.groupby("label", dropna=False)["duration_s"]
    return pd.DataFrame({"files": seconds.size(), "hours": seconds.sum() / 3600})


def separation(rows: pd.DataFrame, features: list[str]) -> pd.Series:
    """Return how far the labels are apart in each feature, the largest first.

    This is the standard deviation of the means of the labels, divided by the mean standard
    deviation within a label.
    """
    by_label = rows.groupby("label")[features]
    within = by_label.std().mean()
    ratio = by_label.mean().std() / within.where(within > 0)
    return ratio.dropna().sort_values(ascending=False)


def main() -> None:
    """Print what the table holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", metavar="TABLE", type=Path)
    table = parser.parse_args().table

    features = feature_columns(table)
    about = ["path", "label", "duration_s", "is_silent"]
    rows = pd.read_parquet(table / "features", columns=[*about, *features])
    errors = pd.read_parquet(table / "errors", columns=["path", "error_kind"])

    # Names of files and labels may hold anything. repr escapes what would control a terminal.
    print(hours_by_label(rows).rename(index=repr).round(3).to_string())
    for path, kind in errors.itertuples(index=False):
        print(f"no features: {path!r} ({kind})")

    print("\nThe features in which the labels differ most, in standard deviations:")
    print(separation(rows[~rows["is_silent"]], features).head(10).round(1).to_string())


if __name__ == "__main__":
    main()
