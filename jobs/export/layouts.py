"""Layouts of an exported file: the whole table, or the columns of published tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import UsageError
from jobs.export.ordering import KEY
from jobs.storage.names import readable
from jobs.table.metadata import check_features
from jobs.table.reader import Table
from jobs.table.schema import LABEL, PATH, SEGMENT

_SPECTRAL = ("spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate")

#: Feature columns of the published table of 26 features.
TUTORIAL = ("chroma_stft", "rmse", *_SPECTRAL, *(f"mfcc{i}" for i in range(1, 21)))

#: Feature columns of the published GTZAN tables. The length of the signal is before them.
GTZAN = (
    *(
        f"{name}_{statistic}"
        for name in ("chroma_stft", "rms", *_SPECTRAL, "harmony", "perceptr")
        for statistic in ("mean", "var")
    ),
    "tempo",
    *(f"mfcc{i}_{statistic}" for i in range(1, 21) for statistic in ("mean", "var")),
)

#: Features of FMA's table, and the numbers of their rows.
_FMA_ROWS = {
    "chroma_cens": 12,
    "chroma_cqt": 12,
    "chroma_stft": 12,
    "mfcc": 20,
    "rmse": 1,
    "spectral_bandwidth": 1,
    "spectral_centroid": 1,
    "spectral_contrast": 7,
    "spectral_rolloff": 1,
    "tonnetz": 6,
    "zcr": 1,
}

_FMA_STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")

#: Feature, statistic and number of each of FMA's 518 columns, in order.
FMA = tuple(
    (name, statistic, f"{row:02}")
    for name, n_rows in _FMA_ROWS.items()
    for statistic in _FMA_STATISTICS
    for row in range(1, n_rows + 1)
)

#: Presets whose tables have the columns of a layout.
_PRESETS = {
    "gtzan": "gtzan-v1 (or gtzan-segments-v1)",
    "fma": "fma-v1",
    "tutorial": "tutorial-v1",
}


@dataclass(frozen=True)
class Layout:
    """Columns of an exported file, and how they are made of rows of the table.

    Attributes
    ----------
    format : str
        Name of the format, one of `jobs.export.formats.FORMATS`.
    reads : list of str
        Columns of the table to read, which include the key.
    schema : pyarrow.Schema
        Schema of the file.
    convert : callable
        Makes the rows of the file of rows of the table.
    header : str
        Lines of text before the rows, in CSV.
    """

    format: str
    reads: list[str]
    schema: pa.Schema
    convert: Callable[[pa.Table], pa.Table]
    header: str


def layout_of(kind: str, table: Table) -> Layout:
    """Return the layout of an export.

    Parameters
    ----------
    kind : str
        Name of a layout or a format.
    table : Table
        The table.

    Raises
    ------
    UsageError
        If the table does not have the columns that the layout needs.
    """
    if kind in LAYOUTS:
        return LAYOUTS[kind](table)
    schema = table.feature_schema
    if kind == "npz":
        return _matrix(table)
    names = schema.names
    return Layout(kind, names, schema, lambda rows: rows.cast(schema), _header(names))


def _matrix(table: Table) -> Layout:
    """Return the layout of key, label and all feature columns with one number a row."""
    check_features(table.metadata, table.store.url)
    schema = table.feature_schema
    features = table.metadata.recorded_spec.feature_names
    if not features:
        raise UsageError(
            f"{table.store.url} has series only, which are no matrix: export it as parquet"
        )
    names = [*KEY, LABEL, *features]
    fields = pa.schema([schema.field(name) for name in names])
    return Layout("npz", names, fields, lambda rows: rows, "")


def _gtzan(table: Table) -> Layout:
    _check("gtzan", table, GTZAN)
    lengths = _lengths_of(table.metadata.spec)

    def columns(rows: pa.Table) -> list[pa.Array]:
        return [_file_names(table, rows), lengths(rows), *_columns(rows, GTZAN), rows[LABEL]]

    facts = ("sample_rate_hz", "duration_s", "start_s", "end_s")
    types = [("filename", pa.string()), ("length", pa.int64()), *_floats(GTZAN)]
    return _published(table, (*facts, LABEL, *GTZAN), [*types, (LABEL, pa.string())], columns)


def _tutorial(table: Table) -> Layout:
    _check("tutorial", table, TUTORIAL)

    def columns(rows: pa.Table) -> list[pa.Array]:
        return [_file_names(table, rows), *_columns(rows, TUTORIAL), rows[LABEL]]

    types = [("filename", pa.string()), *_floats(TUTORIAL), (LABEL, pa.string())]
    return _published(table, (LABEL, *TUTORIAL), types, columns)


def _fma(table: Table) -> Layout:
    names = tuple("_".join(column) for column in FMA)
    _check("fma", table, names)
    if _has_segments(table):
        raise UsageError(f"{table.store.url} has segments: the layout fma has one row a track")

    def columns(rows: pa.Table) -> list[pa.Array]:
        return [_track_ids(rows[PATH]), *_columns(rows, names)]

    # as pandas writes it: a line for each level of the columns, then the name of the index
    levels = zip(("feature", "statistics", "number"), *FMA, strict=True)
    header = "".join(",".join(level) + "\n" for level in levels)
    header += "track_id" + "," * len(FMA) + "\n"
    return _published(table, names, [("track_id", pa.int64()), *_floats(names)], columns, header)


def _published(
    table: Table,
    needs: tuple[str, ...],
    types: list[tuple[str, pa.DataType]],
    columns: Callable[[pa.Table], list[Any]],
    header: str | None = None,
) -> Layout:
    schema = pa.schema(types)

    def convert(rows: pa.Table) -> pa.Table:
        return pa.Table.from_arrays(columns(rows), schema=schema)

    if header is None:
        header = _header(schema.names)
    return Layout("csv", [*KEY, *needs], schema, convert, header)


def _header(names: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue()


def _floats(names: tuple[str, ...]) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.float32()) for name in names]


def _columns(rows: pa.Table, names: tuple[str, ...]) -> list[Any]:
    return [rows[name] for name in names]


def _check(layout: str, table: Table, names: tuple[str, ...]) -> None:
    schema = table.feature_schema
    missing = [
        name
        for name in names
        if name not in schema.names or schema.field(name).type != pa.float32()
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(
            f"{table.store.url} has no feature {missing[0]!r}{more}, which the layout {layout}"
            f" needs: featurelib extract --preset {_PRESETS[layout]} makes a table that has"
        )
    if table.metadata.spec.get("channels") == "each":
        raise UsageError(
            f"{table.store.url} has a row for each channel, for which the layout {layout} has no"
            f" place: export it as csv, or use --preset {_PRESETS[layout]}"
        )


def _has_segments(table: Table) -> bool:
    level = table.metadata.spec.get("level")
    return isinstance(level, dict) and level.get("kind") == "segment"


def _file_names(table: Table, rows: pa.Table) -> pa.Array:
    """Return names without folders; segment 0 of ``blues.00000.wav`` is ``blues.00000.0.wav``."""
    names = [readable(path.rpartition("/")[2]) for path in rows[PATH].to_pylist()]
    if _has_segments(table):
        numbers = rows[SEGMENT].to_pylist()
        names = [_with_number(name, n) for name, n in zip(names, numbers, strict=True)]
    return pa.array(names, pa.string())


def _with_number(name: str, number: int) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}.{number}.{extension}" if dot else f"{name}.{number}"


def _track_ids(paths: pa.ChunkedArray) -> pa.Array:
    """Return the number that each file is named by: 2 for ``000/000002.mp3``."""
    ids = []
    for path in paths.to_pylist():
        stem = path.rpartition("/")[2].partition(".")[0]
        if not (stem.isascii() and stem.isdigit() and len(stem) <= 18):
            raise UsageError(
                f"{readable(path)} is not named by the number of a track, as 000002.mp3 is, which"
                " the layout fma needs: export it as csv"
            )
        ids.append(int(stem))
    return pa.array(ids, pa.int64())


def _lengths_of(spec: dict[str, Any]) -> Callable[[pa.Table], pa.Array]:
    """Return the function that gives the number of samples that were analysed, for each row.

    It is exact, except for a file of several streams, which are resampled one by one.
    """
    level = spec.get("level")
    is_track = not isinstance(level, dict) or level.get("kind") != "segment"
    sr = spec.get("sr")

    def lengths(rows: pa.Table) -> pa.Array:
        of_file = rows["sample_rate_hz"].to_numpy().astype(np.float64)
        rate = np.full(len(rows), float(sr)) if isinstance(sr, int) else of_file
        if is_track:
            n_decoded = np.rint(rows["duration_s"].to_numpy() * of_file)
            return pa.array(np.ceil(n_decoded * (rate / of_file)), pa.int64())
        seconds = pc.subtract(rows["end_s"], rows["start_s"]).to_numpy()
        return pa.array(np.rint(seconds * rate), pa.int64())

    return lengths


#: Functions that make the layouts of published tables, by name.
LAYOUTS: dict[str, Callable[[Table], Layout]] = {
    "gtzan": _gtzan,
    "fma": _fma,
    "tutorial": _tutorial,
}
