"""Tracks as `read_tracks` returns them, made without a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from jobs.report.reading import Features

_DEFAULTS: dict[str, Any] = {
    "label": "rock",
    "duration_s": 30.0,
    "header_duration_s": 30.0,
    "sample_rate_hz": 44_100,
    "channels": 2,
    "format": "WAV",
    "subtype": "PCM_16",
    "decoder": "libsndfile",
    "decoding": "whole",
    "lost_s": np.nan,
    "n_streams": 1,
    "size_bytes": 5_000_000,
    "cutoff_hz": np.nan,
    "peak": 0.5,
    "mix_peak": 0.5,
    "clipped_fraction": 0.0,
    "is_silent": False,
    "n_rows": 1,
}

_CATEGORIES = ("label", "format", "subtype", "decoder", "decoding")


def tracks_of(*changes: dict[str, Any], n: int | None = None, **columns: Any) -> pd.DataFrame:
    """Return tracks with nothing the matter, but for some values of some of them.

    Parameters
    ----------
    *changes
        Values of the first tracks.
    n
        Number of tracks.
    **columns
        Values of all tracks: one, or one each.
    """
    n = len(changes) if n is None else n
    frame = pd.DataFrame(
        {
            "path": [f"{i:04}.wav" for i in range(n)],
            "audio_hash": [f"{i:032x}" for i in range(n)],
            **{name: columns.get(name, value) for name, value in _DEFAULTS.items()},
        },
        index=range(n),
    )
    for i, values in enumerate(changes):
        for name, value in values.items():
            if name in _CATEGORIES:
                frame[name] = frame[name].astype(object)
            frame.loc[i, name] = value
    return frame.astype(dict.fromkeys(_CATEGORIES, "category"))


def features_of(tracks: pd.DataFrame, values: np.ndarray, *, is_sample: bool = False) -> Features:
    names = [f"f{i}" for i in range(values.shape[1])]
    frame = pd.DataFrame(values.astype(np.float32), index=tracks.index, columns=names)
    return Features(tracks, frame, is_sample)
