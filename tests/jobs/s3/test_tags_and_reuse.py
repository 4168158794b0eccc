"""Tags of files in a bucket, and columns of another table in a bucket."""

from __future__ import annotations

import pandas as pd
import pytest

import featurelib
from tests.featurelib.audio.test_tag_values import WANTED, by_ffmpeg, by_soundfile, id3v1, mp3
from tests.jobs.s3.place import Place, storage_options
from tests.support import light
from tests.support.tables import read_table


@pytest.mark.slow
def test_tags_and_columns_of_another_table(place: Place) -> None:
    files = {
        "a.flac": by_soundfile("FLAC", "PCM_16"),
        "b.m4a": by_ffmpeg("ipod", "aac"),
        "c.mp3": mp3() + id3v1(),
    }
    for name, data in files.items():
        place.put(f"corpus/{name}", data)
    options = {"extractor": featurelib.extract_rows, "tags": ["genre", "artist"]}
    options |= {"storage_options": storage_options(place.s3), "labels": "tag:genre"}
    corpus, old = f"s3://{place.bucket}/corpus", f"s3://{place.bucket}/old"
    entry = {"family": "rms", "statistics": ["mean"]}
    spec = featurelib.FeatureSpec.from_dict({"name": "x", "features": [entry]})
    more = {"family": "zero_crossing_rate", "statistics": ["max"]}
    new = featurelib.FeatureSpec.from_dict({"name": "x", "features": [more, entry]})
    light.run(corpus, old, spec=spec, **options)
    rows, _ = read_table(place.downloaded("old"))
    assert rows["genre"].tolist() == [WANTED["genre"], WANTED["genre"], "Rock"]
    assert rows["label"].tolist() == rows["genre"].tolist()
    assert rows["artist"].tolist() == [WANTED["artist"], WANTED["artist"], "Ärtist"]

    report = light.run(corpus, f"s3://{place.bucket}/new", spec=new, reuse=old, **options)
    assert (report.n_joined, report.n_files) == (3, 3)
    light.run(corpus, f"s3://{place.bucket}/fresh", spec=new, **options)
    for found, wanted in zip(
        read_table(place.downloaded("new")), read_table(place.downloaded("fresh")), strict=True
    ):
        pd.testing.assert_frame_equal(found, wanted)

    report = light.run(corpus, f"s3://{place.bucket}/less", spec=spec, reuse=old, **options)
    assert (report.n_copied, report.n_files) == (3, 3)
