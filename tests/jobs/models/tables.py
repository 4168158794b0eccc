"""Tables with known values, hashes and signs, made by the job from files of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import featurelib
from jobs.models.dataset import Dataset, read_dataset
from jobs.table.reader import open_table
from tests.support.light import run, write

SPEC = featurelib.spec_from_settings(
    {
        "name": "small",
        "features": [
            {"family": "rms", "statistics": ["mean", "std"]},
            {"family": "zero_crossing_rate", "statistics": ["mean"]},
            {"family": "mfcc", "n_mfcc": 2, "statistics": ["mean", "series"]},
        ],
    }
)
COLUMNS = [
    *("rms_mean", "rms_std", "zero_crossing_rate_mean"),
    *("mfcc_01_mean", "mfcc_02_mean"),
]


def extractor(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Make the rows that a file of JSON tells: values, and facts of the file."""
    text = source.decode() if isinstance(source, bytes) else Path(source).read_text()
    if text.startswith("bad"):
        raise featurelib.AudioError("undecodable", text)
    told = json.loads(text)
    values = np.array(told["values"], np.float32)  # one line for each segment
    facts = {"duration_s": 1.0, "decoding": "whole", "is_silent": False, "peak": 0.5}
    facts |= {"mix_peak": 0.5, "audio_hash": text[:40], **told.get("facts", {})}
    columns: dict[str, Any] = {"segment": list(range(len(values)))}
    if isinstance(facts["is_silent"], list):  # of each segment
        columns["is_silent"] = facts.pop("is_silent")
    columns |= {name: values[:, i].tolist() for i, name in enumerate(COLUMNS)}
    columns["mfcc_series"] = [np.zeros((2, 2), np.float32)] * len(values)
    yield featurelib.Rows(len(values), facts, columns)


def told(values: Any, **facts: Any) -> str:
    """Return the contents of a file: lines of values for its segments, and facts."""
    return json.dumps({"values": np.atleast_2d(values).tolist(), "facts": facts})


def make_table(
    place: Path,
    files: Mapping[str, str],
    *,
    carried: Mapping[str, Sequence[Any]] | None = None,
    spec: featurelib.FeatureSpec = SPEC,
    **settings: Any,
) -> Path:
    """Make a table of files of JSON; with `carried`, of a list that has these columns."""
    for path, text in files.items():
        write(place / "music" / path, text)
    corpus: Path = place / "music"
    if carried is not None:
        corpus = place / "music" / "list.csv"
        lines = [",".join(["path", *carried])]
        for i, path in enumerate(files):
            lines.append(",".join([path, *(str(values[i]) for values in carried.values())]))
        corpus.write_text("\n".join(lines) + "\n")
    labels = {} if carried is not None and "label" in carried else {"labels": "parent"}
    settings = {**labels, "buckets": 2, **settings}
    run(corpus, place / "table", spec=spec, extractor=extractor, **settings)
    return place / "table"


def dataset_of(table: Path, **options: Any) -> Dataset:
    return read_dataset(open_table(str(table), {}), **options)


def clusters(
    n: int, labels: Sequence[str] = ("a", "b", "c"), *, distance: float = 4.0, seed: int = 0
) -> dict[str, str]:
    """Return `n` files of each label, whose values lie around a point of the label."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, distance, (len(labels), len(COLUMNS)))
    return {
        f"{label}/{i}.wav": told(centres[k] + random.normal(size=len(COLUMNS)))
        for k, label in enumerate(labels)
        for i in range(n)
    }
