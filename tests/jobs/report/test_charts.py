"""The charts of a report, drawn as SVG: what a reader can tell from them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pandas as pd
import vl_convert

from jobs.report.charts import confusion_chart, correlation_chart, feature_histogram
from jobs.report.classifier import classify
from jobs.report.correlations import correlations
from jobs.report.distributions import N_BINS
from jobs.report.groups import group_labels
from jobs.report.page import TrackMap, _map
from jobs.report.projection import Map
from tests.jobs.report.test_classifier import features


def drawn(spec: dict[str, Any], columns: dict[str, list[Any]], **more: Any) -> str:
    names = list(columns)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return vl_convert.vegalite_to_svg({**spec, **more, "data": {"name": "rows", "values": rows}})


def texts(svg: str) -> list[tuple[float, str]]:
    """Return the horizontal places and the texts that are seen."""
    found = re.findall(r"<text[^>]*translate\(([-\d.]+),[^>]*?(?: opacity=\"(\d)\")?>([^<]*)", svg)
    return [(float(x), text) for x, opacity, text in found if opacity != "0"]


def test_numbers_below_a_histogram_do_not_touch_on_a_phone() -> None:
    edges = np.linspace(0.0, 7800.0, N_BINS + 1).tolist()
    columns = {"low": edges[:-1], "high": edges[1:], "n": [3] * N_BINS}
    svg = drawn(feature_histogram(), columns, width=240, autosize="pad")
    places = [x for x, text in texts(svg) if re.fullmatch(r"[1-7],000", text)]
    assert len(places) >= 3
    assert min(b - a for a, b in itertools.pairwise(sorted(places))) > 36  # a number is 32 wide


def test_names_of_features_are_whole() -> None:
    names = [f"spectral_contrast_delta_0{i}_{s}" for i in range(1, 8) for s in ("mean", "std")]
    values = np.random.default_rng(0).normal(size=(30, len(names)))
    found = correlations(pd.DataFrame(values, columns=names))
    assert found is not None
    svg = drawn(*correlation_chart(found))
    assert {text for _, text in texts(svg)} >= set(names)


def test_labels_that_are_shortened_alike_stay_apart() -> None:
    labels = [f"{'L' * 100}{middle}{'M' * 100}" for middle in "xy"]
    spec, columns = confusion_chart(classify(features([name for name in labels for _ in range(9)])))
    cells = set(zip(columns["label"], columns["predicted"], strict=True))
    assert len(cells) == 4
    assert len(set(spec["layer"][0]["encoding"]["x"]["sort"])) == 2
    tracks = pd.DataFrame({"path": ["1", "2"], "label": labels, "duration_s": 1.0})
    place = Map(np.zeros((2, 2)), "", is_tsne=False, kept=1.0)
    data = _map(TrackMap(place, tracks, group_labels(tracks["label"]), is_sample=False))
    assert len(set(data["groups"])) == len(set(data["labels"])) == 2


def test_the_confusion_matrix_has_the_same_order_in_both_directions() -> None:
    """The largest label first, also if its name has control characters."""
    found = classify(features(["z\x1b"] * 9 + ["b"] * 8 + ["a"] * 7))
    spec, columns = confusion_chart(found)
    names = columns["predicted"][:3]
    assert names == ["z\\x1b", "b", "a"]
    for layer in spec["layer"]:
        assert layer["encoding"]["x"]["sort"] == layer["encoding"]["y"]["sort"] == names
