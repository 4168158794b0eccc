"""A corpus whose files say how many rows they have, and its extractor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import featurelib
from jobs.table.schema import row_schema

Key = tuple[str, int | None, int]

SERIES = [
    {"name": "rms_series", "type": "list<float>"},
    {"name": "chroma_series", "type": "list<float[12]>"},
]


def several_rows(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Give what a file's text says: ``SEGMENTS CHANNELS NUMBER``; no channels, all in one."""
    text = Path(source).read_text()
    if text.startswith("bad"):
        raise featurelib.AudioError("undecodable", "bad")
    n_segments, n_channels, number = map(int, text.split())
    names = featurelib.schema(spec).names
    for channel in range(n_channels) if n_channels else (None,):
        columns: dict[str, Any] = {
            "channel": [channel] * n_segments,
            "segment": list(range(n_segments)),
            "start_s": [3.0 * i for i in range(n_segments)],
            "end_s": [3.0 * i + 3.0 for i in range(n_segments)],
        }
        for name, make in (("rms_series", rms_of), ("chroma_series", chroma_of)):
            if name in names:
                columns[name] = [make(number, channel, i) for i in range(n_segments)]
        attributes = {
            "duration_s": 3.0 * n_segments,
            "peak": 1.0,
            "mix_peak": 1.0,
            "is_silent": False,
        }
        values = np.full((n_segments, len(featurelib.feature_names(spec))), number, np.float32)
        values += np.arange(n_segments, dtype=np.float32)[:, None]
        # one chunk of rows a channel
        yield featurelib.Rows(n_segments, {**attributes, "decoding": "whole"}, columns, values)


def rms_of(number: int, channel: int | None, segment: int) -> np.ndarray:
    """Return a series of some length, none at all for the last of some segments."""
    n_frames = (number + 7 * segment) % 40
    return np.arange(n_frames, dtype=np.float32) + 100 * (channel or 0) + number


def chroma_of(number: int, channel: int | None, segment: int) -> np.ndarray:
    return rms_of(number, channel, segment)[:, None] + np.arange(12, dtype=np.float32) / 16


def expected(files: dict[str, str]) -> dict[Key, float]:
    """Return the feature rows of a corpus: their key, and their number."""
    rows: dict[Key, float] = {}
    for path, text in files.items():
        if text.startswith("bad"):
            continue
        n_segments, n_channels, number = map(int, text.split())
        for channel in range(n_channels) if n_channels else (None,):
            for segment in range(n_segments):
                rows[path, channel, segment] = number + segment
    return rows


def corpus_of(n_files: int) -> dict[str, str]:
    """Return a corpus of three lengths; some files have rows for each of two channels."""
    return {
        f"{'abc'[i % 3]}/{i:03d}.wav": f"{(1, 4, 25)[i % 3]} {2 * (i % 5 == 0)} {i}"
        for i in range(n_files)
    }


def give_series(set_attribute: Callable[[Any, str, Any], None] = setattr) -> None:
    """Give every spec two columns of series."""
    describe, empty = featurelib.describe, {"unit": "1", "definition": "x", "librosa": "none"}

    def with_series(spec: Any) -> list[featurelib.ColumnDescription]:
        added = [featurelib.ColumnDescription(**column, **empty) for column in SERIES]
        return [*describe(spec), *added]

    def schema(spec: Any) -> pa.Schema:
        return row_schema([vars(column) for column in with_series(spec)])

    set_attribute(featurelib, "describe", with_series)
    set_attribute(featurelib, "schema", schema)
