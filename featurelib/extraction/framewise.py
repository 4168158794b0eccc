"""Extraction of the features of every frame, as a long table."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from featurelib.errors import SpecError
from featurelib.extraction.extractor import Extractor
from featurelib.specs.entry import Entry
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.presets import get_spec
from featurelib.statistics import SERIES
from featurelib.transforms.cqt import CQT
from featurelib.transforms.frames import FrameGrid, Frames, frames_of

if TYPE_CHECKING:
    import pandas as pd

    from featurelib.audio.sources import Source
    from featurelib.rows import Rows

#: Most bytes of frames in memory.
MAX_BYTES = 4 * 2**30


def extract_frames(
    source: Source, spec: str | FeatureSpec | None = None, *, preset: str | None = None
) -> pd.DataFrame:
    """Compute the features of every frame of one file.

    Parameters
    ----------
    source, spec, preset
        As for `featurelib.extract_columns`. The statistics of the spec are ignored, and
        features with a single value per signal are left out.

    Returns
    -------
    pandas.DataFrame
        One row per frame, with the columns

        - ``channel``, if the spec has ``channels="each"``;
        - ``segment``, if the spec has segments;
        - ``time_s``, time of the frame in the file [s], as `librosa.frames_to_time`;
        - the features (float32), named as in the spec, without a statistic.

        A feature without a value is NaN, as ``spectral_flux`` in the first frame.

    Raises
    ------
    SpecError
        If the features do not all have the same frames, or two columns have the same name.
    AudioError, OSError, ParameterError
        As for `featurelib.extract_columns`.

    Examples
    --------
    >>> import featurelib
    >>> frames = featurelib.extract_frames("song.wav", preset="tutorial-v1")
    >>> frames["time_s"].head(3).round(4).tolist()
    [0.0, 0.0232, 0.0464]
    >>> frames.columns[-1]
    'mfcc20'
    """
    import pandas as pd

    spec = get_spec(spec, preset=preset)
    entries = tuple(
        Entry(feature=entry.feature, name=entry.name, statistics=(SERIES,))
        for entry in spec.features
        if not entry.feature.is_single
    )
    # A constant-Q transform can have one frame more at the end: the other frames are counted.
    entries = tuple(sorted(entries, key=lambda entry: isinstance(_grid(entry), CQT)))
    frames = _common_frames(spec, entries)
    names = ["channel", "segment", "time_s"]
    names += [name for entry in spec.features for name in _frame_names(entry)]
    if "" in names:
        raise SpecError("columns: a template without {name} or {row} gives a column no name")
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise SpecError(f"features: two columns of frames would be called {twice!r}")
    series = dataclasses.replace(spec, features=entries)
    chunks = [
        chunk
        for rows in Extractor(series, max_series_bytes=MAX_BYTES).file(source)
        for chunk in _chunks(rows, spec, series, frames)
    ]
    columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return pd.DataFrame(columns)


def _frame_names(entry: Entry) -> tuple[str, ...]:
    return () if entry.feature.is_single else entry.frame_names()


def _common_frames(spec: FeatureSpec, entries: tuple[Entry, ...]) -> FrameGrid:
    if not entries:
        raise SpecError(f"{spec.name}: no feature has frames")
    first = entries[0].feature.frames
    for entry in entries:
        frames = entry.feature.frames
        same = frames.hop_length == first.hop_length and frames.center == first.center
        if not same or (not first.center and _length(frames) != _length(first)):
            raise SpecError(
                f"{entries[0].name} and {entry.name} are not of the same frames (hop_length"
                f" {first.hop_length} and {frames.hop_length}): extract them one by one"
            )
    return first


def _grid(entry: Entry) -> FrameGrid | None:
    return frames_of(entry.feature)


def _length(frames: FrameGrid) -> int:
    return frames.n_fft if isinstance(frames, Frames) else 0


def _chunks(
    rows: Rows, spec: FeatureSpec, series: FeatureSpec, frames: FrameGrid
) -> list[dict[str, np.ndarray]]:
    """Return the frames of each row as columns."""
    result = []
    for i in range(rows.n):
        found = {entry.name: rows.columns[entry.column_names()[0]][i] for entry in series.features}
        n_counted = int(rows.columns["n_frames"][i])
        n = max(n_counted, *map(len, found.values()))
        sr = spec.fixed_sr or int(rows.facts["sample_rate_hz"])
        chunk: dict[str, np.ndarray] = {}
        if spec.channels == "each":
            chunk["channel"] = np.full(n, rows.facts["channel"], np.int32)
        if spec.level.kind == "segment":
            chunk["segment"] = np.full(n, rows.columns["segment"][i], np.int32)
        start_s = float(rows.columns["start_s"][i])
        chunk["time_s"] = start_s + np.arange(n) * frames.hop_length / sr
        for entry in spec.features:
            if entry.name not in found:
                continue
            columns, values = _frame_names(entry), found[entry.name]
            start = max(n_counted - len(values), 0)  # of the counted, the first can be missing
            padded = np.full((n, len(columns)), np.nan, np.float32)
            padded[start : start + len(values)] = values.reshape(len(values), len(columns))
            chunk |= dict(zip(columns, padded.T, strict=True))
        result.append(chunk)
    return result
