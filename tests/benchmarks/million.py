"""A table of very many rows, made without audio: what reads tables is measured with it.

The parts have the schema and the metadata of a real table. Features are random numbers around a
mean of their label, so that a classifier finds something. Some files are copies, silent, cut,
clipped or upsampled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

import featurelib
from jobs.storage.opening import open_store
from jobs.storage.parquet import Writer
from jobs.table.layout import ERRORS, FEATURES, label_folder, part_name
from jobs.table.metadata import RecordedSpec, TableMetadata, write_metadata
from jobs.table.reader import Table, open_table

_GROUP_ROWS = 50_000

#: Of the files of a label, one of so many is a copy of the one before it, silent, cut, clipped or
#: upsampled.
_COPY, _SILENT, _CUT, _CLIPPED, _UPSAMPLED = 100, 1000, 500, 200, 300


def make_table(
    folder: Path,
    n_rows: int = 1_000_000,
    *,
    n_labels: int = 10,
    spec: str = "genre-v1",
    spread: float = 0.15,
    seed: int = 0,
) -> Path:
    """Write a table with one row for each file, partitioned by label.

    Parameters
    ----------
    folder : Path
        Folder of the table.
    n_rows : int
        Number of files.
    n_labels : int
        Number of labels; file i has the label i modulo it.
    spec : str
        Preset.
    spread : float
        Standard deviation of the means of the labels; that of the rows is 1.
    seed : int
        Seed of the values.

    Returns
    -------
    Path
        The folder.
    """
    store = open_store(str(folder))
    recorded = RecordedSpec.of(featurelib.get_spec(spec))
    metadata = TableMetadata(
        corpus="/music",
        n_buckets=1,
        partition_by="label",
        labels="parent",
        spec=recorded.values,
        fingerprint=recorded.fingerprint,
        columns=recorded.columns,
        carried={},
        featurelib="0.1.0",
    )
    write_metadata(store, metadata)
    table = open_table(str(folder), {})
    random = np.random.default_rng(seed)
    for label in range(n_labels):
        mean = {name: random.normal(0, spread) for name in featurelib.feature_names(spec)}
        below = folder / FEATURES / label_folder(f"label-{label}")
        below.mkdir(parents=True)
        numbers = np.arange(label, n_rows, n_labels)
        with (
            (below / part_name(0)).open("wb") as sink,
            Writer(sink, table.feature_schema) as writer,
        ):
            for start in range(0, len(numbers), _GROUP_ROWS):
                writer.write(
                    _rows(table, numbers[start : start + _GROUP_ROWS], label, mean, random)
                )
    (folder / ERRORS).mkdir()
    with (
        (folder / ERRORS / part_name(0)).open("wb") as sink,
        Writer(sink, table.error_schema) as writer,
    ):
        writer.write(_errors(table, n_rows, n_labels))
    return folder


def _rows(
    table: Table,
    numbers: np.ndarray,
    label: int,
    means: dict[str, float],
    random: np.random.Generator,
) -> pa.Table:
    n = len(numbers)
    order = numbers // 10
    is_silent, is_cut = order % _SILENT == 7, order % _CUT == 11
    peak = np.where(is_silent, 0.0, random.uniform(0.2, 1.0, n)).astype(np.float32)
    seconds = random.gamma(6.0, 35.0, n)
    known = {
        "path": [f"label-{label}/{i:07d}.mp3" for i in numbers],
        "label": pa.array([f"label-{label}"]).take(pa.array(np.zeros(n, np.int64))),
        "segment": np.zeros(n, np.int32),
        "start_s": np.zeros(n),
        "end_s": seconds,
        "duration_s": seconds,
        "header_duration_s": seconds,
        "sample_rate_hz": random.choice([22_050, 44_100, 48_000], n),
        "channels": random.choice([1, 2], n),
        "format": np.full(n, "MP3"),
        "subtype": np.full(n, "MPEG_LAYER_III"),
        "decoder": np.full(n, "libsndfile"),
        "decoding": np.where(is_cut, "cut", "whole"),
        "lost_s": np.zeros(n),
        "n_streams": np.ones(n, np.int32),
        "n_frames": (seconds * 43).astype(np.int64),
        "peak": peak,
        "mix_peak": peak,
        "clipped_fraction": np.where(order % _CLIPPED == 3, 0.02, 0.0),
        "is_silent": is_silent,
        "cutoff_hz": np.where(order % _UPSAMPLED == 5, 3_900.0, np.nan).astype(np.float32),
        "audio_hash": [f"{i - 10 * (i // 10 % _COPY == 1):032x}" for i in numbers],
        "size_bytes": (seconds * 24_000).astype(np.int64),
        "source_version": [f"1-{i}" for i in numbers],
        "spec_fingerprint": np.full(n, table.metadata.fingerprint),
        "run_id": np.full(n, "20250101T000000-made"),
    }
    columns = []
    for field in table.feature_schema:
        if field.name in known:
            # NaN is null
            columns.append(pa.Array.from_pandas(known[field.name]).cast(field.type))
        elif field.name in means:
            values = random.standard_normal(n, np.float32) + np.float32(means[field.name])
            columns.append(pa.array(values))
        else:
            columns.append(pa.nulls(n, field.type))
    return pa.Table.from_arrays(columns, schema=table.feature_schema)


def _errors(table: Table, n_rows: int, n_labels: int) -> pa.Table:
    """Return an error for every ten thousandth file."""
    numbers = range(max(1, n_rows // 10_000))
    kinds = ["undecodable", "empty", "unreadable"]
    rows = [
        {
            "path": f"label-{i % n_labels}/bad-{i:05d}.mp3",
            "label": f"label-{i % n_labels}",
            "error_kind": kinds[i % 3],
            "message": "made for a benchmark",
            "error_class": "environment" if i % 3 == 2 else "content",
            "source_version": f"1-{i}",
        }
        for i in numbers
    ]
    return pa.Table.from_pylist(rows, schema=table.error_schema)
