"""Tables to be exported, made by the job with known values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import featurelib
from tests.support.light import run, write

#: Feature columns of the published GTZAN tables, as specs of today's families.
GTZAN = {
    "name": "gtzan-like",
    "defaults": {"statistics": ["mean", "var"], "columns": "{name}{row}_{stat}"},
    "features": [
        {"family": "chroma_stft", "pooled": True, "columns": "{name}_{stat}"},
        *({"family": "rms", "as": name, "columns": "{name}_{stat}"} for name in ("rms", "harmony")),
        *(
            {"family": family, "as": name, "columns": "{name}_{stat}"}
            for family, name in (
                ("spectral_centroid", "spectral_centroid"),
                ("spectral_bandwidth", "spectral_bandwidth"),
                ("spectral_rolloff", "rolloff"),
                ("zero_crossing_rate", "zero_crossing_rate"),
                ("spectral_flatness", "perceptr"),
            )
        ),
        {"family": "tuning", "as": "tempo", "columns": "{name}"},
        "mfcc",
    ],
}

#: The same for FMA's table.
FMA = {
    "name": "fma-like",
    "defaults": {
        "statistics": ["kurtosis", "max", "mean", "median", "min", "skew", "std"],
        "columns": "{name}_{stat}_{row:02}",
    },
    "features": [
        *(
            {"family": "chroma_stft", "as": name}
            for name in ("chroma_stft", "chroma_cqt", "chroma_cens")
        ),
        {"family": "chroma_stft", "as": "tonnetz", "n_chroma": 6},
        "mfcc",
        "spectral_contrast",
        *(
            {"family": family, "as": name, "columns": "{name}_{stat}_01"}
            for family, name in (
                ("rms", "rmse"),
                ("spectral_bandwidth", "spectral_bandwidth"),
                ("spectral_centroid", "spectral_centroid"),
                ("spectral_rolloff", "spectral_rolloff"),
                ("zero_crossing_rate", "zcr"),
            )
        ),
    ],
}


def spec_of(settings: dict[str, Any], **changes: Any) -> featurelib.FeatureSpec:
    return featurelib.spec_from_settings({**settings, **changes})


def value_of(text: str, segment: int, column: str) -> float:
    """Return the value that a file of this text has in a column."""
    seed = [*f"{text}/{segment}/{column}".encode()]
    return float(np.float32(np.random.default_rng(seed).normal() * 1000))


def extractor(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Make rows of known values: as many segments as the number at the file's end says."""
    text = source.decode() if isinstance(source, bytes) else Path(source).read_text()
    n = int(text.rpartition(" ")[2]) if " " in text else 1
    names = featurelib.feature_names(spec)
    columns: dict[str, list[Any]] = {"segment": list(range(n))}
    columns |= {name: [value_of(text, i, name) for i in range(n)] for name in names}
    columns |= {"start_s": [3.0 * i for i in range(n)], "end_s": [3.0 * i + 3 for i in range(n)]}
    for field in featurelib.schema(spec):
        if pa.types.is_large_list(field.type):
            width = getattr(field.type.value_type, "list_size", None)
            shape = (2,) if width is None else (2, width)
            columns[field.name] = [np.full(shape, 0.1, np.float32)] * n
    facts = {"duration_s": 30.0, "sample_rate_hz": 44_100, "n_streams": 1, "n_frames": 10}
    facts |= {"decoding": "whole", "peak": 0.5, "mix_peak": 0.5}
    yield featurelib.Rows(n, facts, columns)


def make_table(
    place: Path, spec: featurelib.FeatureSpec, files: dict[str, str], **settings: Any
) -> Path:
    """Make a table of files of text, and return its folder."""
    for path, text in files.items():
        write(place / "music" / path, text)
    settings = {"labels": "parent", "buckets": 3, **settings}
    run(place / "music", place / "table", spec=spec, extractor=extractor, **settings)
    return place / "table"
