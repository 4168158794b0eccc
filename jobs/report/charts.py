"""The charts of a report: Vega-Lite specifications without data and colours.

The page binds the data and the colours of the reader's theme, so a specification here names only
columns. All columns have names of this project, never those of features or labels: Vega-Lite
takes ``.`` and ``[`` in the name of a column as a path.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from featurelib.extras import needing
from jobs.report.classifier import Classification
from jobs.report.contents import Histogram
from jobs.report.correlations import Correlations
from jobs.report.text import distinct
from jobs.runs import Run

#: The data of each specification.
_ROWS = "rows"

_MAP_HEIGHT = 540
_STEP = 26
_CELL = 17
_CONFUSION_CELL = 34

#: Room for the labels of an axis [px]; the page takes less where it is narrow.
_ROOM = 110

Spec = dict[str, Any]
Columns = dict[str, list[Any]]


def durations_chart(histogram: Histogram) -> tuple[Spec, Columns]:
    """Return the chart of a histogram of durations, and its data."""
    with needing("report"):
        import altair as alt
    spec = _histogram(
        "duration [s]", alt.Axis(title="tracks", tickMinStep=1), is_log=histogram.is_log
    )
    edges = rounded(histogram.edges)
    return spec, {"low": edges[:-1], "high": edges[1:], "n": histogram.counts.tolist()}


def feature_histogram() -> Spec:
    """Return the chart of the histogram of a feature; columns low, high, n."""
    with needing("report"):
        import altair as alt
    axis = alt.Axis(title=None, tickMinStep=1, minExtent=_ROOM, maxExtent=_ROOM)
    return _histogram("value", axis, is_log=False)


def _histogram(title: str, n_axis: Any, *, is_log: bool) -> Spec:
    with needing("report"):
        import altair as alt
    scale = alt.Scale(type="log", nice=False) if is_log else alt.Scale(nice=False, zero=False)
    # A phone has no room for all numbers.
    axis = alt.Axis(title=title, labelFlush=True, labelOverlap="greedy", labelSeparation=6)
    chart = (
        _chart(height=150)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", scale=scale, axis=axis),
            x2="high:Q",
            y=alt.Y("n:Q", axis=n_axis),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=".4~g"),
                alt.Tooltip("high:Q", title="to", format=".4~g"),
                alt.Tooltip("n:Q", title="tracks"),
            ],
        )
    )
    return _spec(chart)


def feature_boxes(groups: list[str]) -> Spec:
    """Return the chart of a feature's quantiles by label; columns group, n, q05 … q95."""
    with needing("report"):
        import altair as alt
    base = alt.Chart(alt.NamedData(name=_ROWS)).encode(
        y=alt.Y(
            "group:N",
            sort=groups,
            scale=alt.Scale(domain=groups),
            axis=alt.Axis(title=None, minExtent=_ROOM, maxExtent=_ROOM, labelLimit=_ROOM),
        ),
        color=_group_colour(groups),
        tooltip=[
            alt.Tooltip("group:N", title="label"),
            alt.Tooltip("n:Q", title="tracks"),
            *(
                alt.Tooltip(f"q{q:02}:Q", title=f"{q} %", format=".4~g")
                for q in (5, 25, 50, 75, 95)
            ),
        ],
    )
    x = alt.X("q05:Q", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(title="value"))
    whiskers = base.mark_rule(strokeWidth=1.5).encode(x=x, x2="q95:Q")
    boxes = base.mark_bar(size=14, opacity=0.85).encode(x="q25:Q", x2="q75:Q")
    medians = base.mark_tick(thickness=2.5, size=18).encode(x="q50:Q", color=alt.value("ink"))
    return _spec(
        alt.layer(whiskers, boxes, medians).properties(
            width="container",
            height=_STEP * len(groups),
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
    )


def map_chart(groups: list[str]) -> Spec:
    """Return the map of tracks; columns x, y, path, label, group, label_id, seconds.

    Its parameter ``pick`` is the label to stress (-1 for all), ``query`` a part of the name.
    """
    with needing("report"):
        import altair as alt
    pick = alt.param(name="pick", value=-1)
    query = alt.param(name="query", value="")
    is_shown = (
        "(pick < 0 || datum.label_id === pick)"
        " && (query === '' || indexof(lower(datum.path), query) >= 0)"
    )
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        zoom="wheel![event.shiftKey || event.ctrlKey]",
        translate="[pointerdown, window:pointerup] > window:pointermove!",
    )
    frame = alt.Axis(title=None, labels=False, ticks=False, grid=False, domain=False)
    chart = (
        _chart(height=_MAP_HEIGHT)
        .mark_circle(size=46)
        .encode(
            x=alt.X("x:Q", axis=frame, scale=alt.Scale(domain=[-0.03, 1.03], nice=False)),
            y=alt.Y("y:Q", axis=frame, scale=alt.Scale(domain=[-0.03, 1.03], nice=False)),
            color=alt.condition(is_shown, _group_colour(groups), alt.value("faint")),
            opacity=alt.condition(is_shown, alt.value(0.85), alt.value(0.25)),
            tooltip=[
                alt.Tooltip("path:N", title="file"),
                alt.Tooltip("label:N", title="label"),
                alt.Tooltip("duration:N", title="duration"),
            ],
        )
        .add_params(pick, query, zoom)
    )
    return _spec(chart)


def correlation_chart(found: Correlations) -> tuple[Spec, Columns]:
    """Return the heat map of correlations, and its data."""
    with needing("report"):
        import altair as alt
    axis = alt.Axis(title=None, labelLimit=300, ticks=False, domain=False, labelOverlap=False)
    chart = (
        _chart(width=alt.Step(_CELL), height=alt.Step(_CELL))
        .mark_rect()
        .encode(
            x=alt.X("one:N", sort=found.names, axis=_replaced(axis, labelAngle=-90)),
            y=alt.Y("other:N", sort=found.names, axis=axis),
            color=alt.Color(
                "r:Q",
                scale=alt.Scale(domain=[-1, 1], domainMid=0, interpolate="lab"),
                legend=alt.Legend(title="rank correlation", orient="top", gradientLength=200),
            ),
            tooltip=[
                alt.Tooltip("one:N", title="feature"),
                alt.Tooltip("other:N", title="and"),
                alt.Tooltip("r:Q", title="correlation", format=".2f"),
            ],
        )
    )
    n = len(found.names)
    data: Columns = {
        "one": found.names * n,
        "other": [name for name in found.names for _ in range(n)],
        "r": [round(float(r), 3) for r in found.matrix.ravel()],
    }
    return _spec(chart), data


def confusion_chart(found: Classification) -> tuple[Spec, Columns]:
    """Return the confusion matrix of the classifier, and its data."""
    with needing("report"):
        import altair as alt
    axis = alt.Axis(labelLimit=150, ticks=False, domain=False, labelOverlap=False)
    names = distinct(found.shown)
    base = _chart(width=alt.Step(_CONFUSION_CELL), height=alt.Step(_CONFUSION_CELL)).encode(
        x=alt.X(
            "predicted:N",
            sort=names,
            axis=_replaced(axis, title="predicted", labelAngle=-90),
        ),
        y=alt.Y("label:N", sort=names, axis=_replaced(axis, title="label")),
        tooltip=[
            alt.Tooltip("label:N", title="label"),
            alt.Tooltip("predicted:N", title="predicted"),
            alt.Tooltip("n:Q", title="tracks"),
            alt.Tooltip("share:Q", title="of the label", format=".0%"),
        ],
    )
    rects = base.mark_rect().encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], interpolate="lab"), legend=None)
    )
    texts = base.mark_text(fontSize=11).encode(
        text="n:Q", opacity=alt.condition("datum.n > 0", alt.value(1), alt.value(0.35))
    )
    counts = found.confusion
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    n = len(names)
    data: Columns = {
        "label": [name for name in names for _ in range(n)],
        "predicted": names * n,
        "n": counts.ravel().tolist(),
        "share": [round(float(share), 3) for share in shares.ravel()],
    }
    return _spec(alt.layer(rects, texts)), data


def throughput_chart(runs: list[Run]) -> tuple[Spec, Columns]:
    """Return the chart of the files that runs have read for each second, and its data."""
    with needing("report"):
        import altair as alt
    used = [run for run in runs if run.files_per_s is not None]
    names = [run.when for run in used]
    chart = (
        _chart(height=_STEP * len(used))
        .mark_bar(size=14)
        .encode(
            x=alt.X("rate:Q", axis=alt.Axis(title="files per second of extraction")),
            y=alt.Y("run:N", sort=names, axis=alt.Axis(title=None, labelLimit=170)),
            tooltip=[
                alt.Tooltip("run:N", title="run"),
                alt.Tooltip("rate:Q", title="files per second", format=".3~g"),
                alt.Tooltip("n:Q", title="files read"),
            ],
        )
    )
    data: Columns = {
        "run": names,
        "rate": rounded(run.files_per_s or 0.0 for run in used),
        "n": [run.n_read for run in used],
    }
    return _spec(chart), data


def rounded(values: Any, digits: int = 5) -> list[float | None]:
    """Return numbers with some significant digits, for JSON; None for what is not finite."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in map(float, values)]


def _chart(width: Any = "container", height: Any = None) -> Any:
    with needing("report"):
        import altair as alt
    chart = alt.Chart(alt.NamedData(name=_ROWS)).properties(width=width)
    if width == "container":
        chart = chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    return chart if height is None else chart.properties(height=height)


def _group_colour(groups: list[str]) -> Any:
    """Return the colour of a group; the page gives the range, with grey for those at the end."""
    with needing("report"):
        import altair as alt
    return alt.Color("group:N", scale=alt.Scale(domain=groups), legend=None)


def _replaced(axis: Any, **values: Any) -> Any:
    copy = axis.copy()
    for name, value in values.items():
        copy[name] = value
    return copy


def _spec(chart: Any) -> Spec:
    spec = chart.to_dict()
    spec.pop("config", None)  # the page has its own
    return spec
