"""Load a table with Hugging Face `datasets`, and split it into training and test files.

    python examples/load_with_datasets.py TABLE

The dataset has one vector ``features`` and a class ``label`` in each row. Copies of the same audio
and segments of one file stay on one side of the split.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import datasets
import numpy as np

import featurelib


def load(table: Path, cache: Path) -> datasets.Dataset:
    """Load the rows of a table that have a label and are not silent.

    Parameters
    ----------
    table : Path
        The table.
    cache : Path
        Folder for the copy in Arrow's format that `datasets` makes and maps into memory.

    Returns
    -------
    datasets.Dataset
        ``path``, ``audio_hash``, ``label`` and ``features`` (float32).
    """
    metadata = json.loads((table / "_job" / "table.json").read_text())
    names = [  # not by the spec, which may name a file of code: a table can come from anybody
        column["name"]
        for column in metadata["columns"]
        if column["type"] == "float" and column["name"] not in featurelib.SIGNAL_COLUMNS
    ]

    parts = sorted(str(path) for path in (table / "features").rglob("*.parquet"))
    kept = ["path", "audio_hash", "label"]
    rows = datasets.Dataset.from_parquet(
        parts, columns=[*kept, "is_silent", *names], cache_dir=str(cache)
    )
    rows = rows.filter(
        lambda labels, silent: [
            label is not None and not is_silent
            for label, is_silent in zip(labels, silent, strict=True)
        ],
        input_columns=["label", "is_silent"],
        batched=True,
    )

    def vectors(batch: dict[str, list]) -> dict[str, np.ndarray]:
        columns = [np.array(batch[name], np.float32) for name in names]  # null becomes NaN
        return {"features": np.column_stack(columns)}

    rows = rows.map(vectors, batched=True, remove_columns=["is_silent", *names])
    return rows.class_encode_column("label")


def split(rows: datasets.Dataset, test_share: int = 5) -> datasets.DatasetDict:
    """Split rows into ``train`` and ``test``: one in `test_share` sounds is for the test.

    The hash of the samples decides, so copies and segments of a file are never separated.
    """
    is_test = np.array([int(value[-8:], 16) % test_share == 0 for value in rows["audio_hash"]])
    return datasets.DatasetDict(
        train=rows.select(np.flatnonzero(~is_test)), test=rows.select(np.flatnonzero(is_test))
    )


def main() -> None:
    """Print the two parts and the first row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", metavar="TABLE", type=Path)
    table = parser.parse_args().table

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        rows = load(table, Path(cache))
        if not len(rows):
            raise SystemExit(f"{table}: no row has a label (featurelib extract --labels parent)")
        parts = split(rows).with_format("numpy", columns=["features", "label"])
        for name, part in parts.items():
            print(f"{name}: {len(part)} rows of {len(np.unique(part['label'][:]))} labels")
        print("labels:", rows.features["label"].names)
        first = parts["train"][0]
        print("first row:", first["features"].shape, first["features"].dtype, int(first["label"]))


if __name__ == "__main__":
    main()
