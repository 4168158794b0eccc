"""The page: one HTML file with its data, charts and style, which asks for nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from featurelib.extras import needing
from jobs.report import charts, text
from jobs.report.classifier import Classification
from jobs.report.contents import Contents, Histogram
from jobs.report.correlations import Correlations
from jobs.report.distributions import Distribution
from jobs.report.failures import Failures
from jobs.report.groups import Groups
from jobs.report.projection import Map
from jobs.runs import Run

if TYPE_CHECKING:
    import pandas as pd

    from jobs.report.health import Finding

#: What the page uses of Vega.
_LIBRARY = "window.vegaEmbed = vegaEmbed;"

#: Features in the table of those that tell the labels apart best.
_N_BEST = 12

#: Rows of the table of labels that the classifier finds hardest.
_N_WEAKEST = 20

#: Most runs that are shown, the last ones.
N_RUNS = 20


@dataclass(frozen=True)
class Features:
    """What the page shows of the features of some tracks.

    Attributes
    ----------
    n_tracks : int
        Number of tracks from which the distributions are.
    is_sample : bool
        Whether the table has more.
    groups : Groups
        Groups of these tracks by label.
    distributions : list of Distribution
        One for each feature.
    columns : dict of str to dict
        Unit and definition of each feature.
    correlations : Correlations or None
        Correlations; None if there is nothing to correlate.
    n_correlated : int
        Number of tracks from which they are.
    """

    n_tracks: int
    is_sample: bool
    groups: Groups
    distributions: list[Distribution]
    columns: dict[str, dict[str, str]]
    correlations: Correlations | None
    n_correlated: int


@dataclass(frozen=True)
class TrackMap:
    """The map, and the tracks on it.

    Attributes
    ----------
    map : Map
        Places of the tracks.
    tracks : pandas.DataFrame
        The tracks, in the same order.
    groups : Groups
        Groups of these tracks by label.
    is_sample : bool
        Whether the table has more.
    """

    map: Map
    tracks: pd.DataFrame
    groups: Groups
    is_sample: bool


@dataclass(frozen=True)
class Report:
    """All that is on the page.

    Attributes
    ----------
    name : str
        Short name of the corpus.
    table, corpus : str
        Locations of the table and of its corpus.
    preset : str
        Name of the spec.
    labels : str
        Source of the labels.
    version : str
        Version of featurelib that writes the page.
    contents : Contents
        What the corpus is.
    durations : Histogram or None
        Histogram of durations.
    findings : list of Finding
        What is wrong, or worth a look.
    failures : list of Failures
        Files without features.
    features : Features or None
        Distributions and correlations; None if there are no tracks or no features.
    map : TrackMap or None
        The map; None if it cannot be drawn.
    classification : Classification or None
        Predictions; None if there can be none.
    no_classification : str
        Why there are no predictions.
    runs : list of Run
        The runs, oldest first.
    """

    name: str
    table: str
    corpus: str
    preset: str
    labels: str
    version: str
    contents: Contents
    durations: Histogram | None
    findings: list[Finding]
    failures: list[Failures]
    features: Features | None
    map: TrackMap | None
    classification: Classification | None
    no_classification: str
    runs: list[Run]


def render(report: Report) -> str:
    """Return the page as HTML.

    Names, labels and messages are untrusted: the template escapes them, and what scripts read is
    JSON without the characters that end a script. A content security policy lets the page run
    its own two scripts only, without ``eval``, and load nothing.

    Parameters
    ----------
    report : Report
        What the page shows.

    Raises
    ------
    featurelib.MissingExtraError
        If Altair, vl-convert or Jinja is not installed.
    """
    with needing("report"):
        import jinja2
        from markupsafe import Markup
    style, program, library = _own("style.css"), _own("page.js"), _library()
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_own),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=text.shown,
        count=text.count,
        percent=text.percent,
        seconds=text.seconds,
        size=text.size,
        number=text.number,
    )
    drawn = _charts(report)
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(program)};"
        f" style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html").render(
        report=report,
        best=_best(report.features),
        weakest=_weakest(report.classification),
        n_weakest=_N_WEAKEST,
        runs=report.runs[-N_RUNS:][::-1],
        charts=drawn,
        policy=policy,
        style=Markup(style),
        program=Markup(program),
        library=Markup(library),
        data=Markup(safe_json(drawn)),
    )


def safe_json(value: Any) -> str:
    r"""Return JSON that can stand in a script element: no text in it ends the element.

    Examples
    --------
    >>> safe_json("</script>&")
    '"\\u003c/script\\u003e\\u0026"'
    """
    plain = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        plain = plain.replace(character, f"\\u{ord(character):04x}")
    return plain


def _own(name: str) -> str:
    """Return a file of the templates."""
    return resources.files("jobs.report").joinpath("templates", name).read_text("utf-8")


@functools.cache
def _library() -> str:
    """Return the program that draws charts; bundling it takes a second or two."""
    with needing("report"):
        import vl_convert
    return vl_convert.javascript_bundle(_LIBRARY)


def _hash(code: str) -> str:
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _charts(report: Report) -> dict[str, dict[str, Any]]:
    """Return what the page's program needs: specification and columns of each chart, by its id."""
    found: dict[str, dict[str, Any]] = {}
    if report.durations is not None:
        spec, columns = charts.durations_chart(report.durations)
        found["durations"] = {"spec": spec, "columns": columns}
    if report.classification is not None:
        spec, columns = charts.confusion_chart(report.classification)
        found["confusion"] = {"spec": spec, "columns": columns}
    if report.map is not None:
        found["map"] = _map(report.map)
    if report.features is not None:
        found["features"] = _features(report.features)
        if report.features.correlations is not None:
            spec, columns = charts.correlation_chart(report.features.correlations)
            found["correlations"] = {"spec": spec, "columns": columns}
    if sum(run.files_per_s is not None for run in report.runs[-N_RUNS:]) >= 2:
        spec, columns = charts.throughput_chart(report.runs[-N_RUNS:])
        found["throughput"] = {"spec": spec, "columns": columns}
    return found


def _map(found: TrackMap) -> dict[str, Any]:
    """Return the map; labels and groups are numbers, for which the page has the names."""
    tracks = found.tracks
    labels = tracks["label"].astype(object)
    counts = labels.value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))
    place = {name: i for i, name in enumerate(names)}
    x, y = found.map.points.T
    groups = text.distinct(found.groups.names)
    return {
        "spec": charts.map_chart(groups),
        "groups": groups,
        "n_labels": found.groups.n_labels,
        "labels": text.distinct(names),
        "counts": [int(counts[name]) for name in names],
        "columns": {
            "x": charts.rounded(x, 4),
            "y": charts.rounded(y, 4),
            "path": [text.shown(path) for path in tracks["path"]],
            "duration": [text.seconds(s) for s in tracks["duration_s"]],
            "label_id": [place.get(label, -1) for label in labels],
            "group_id": found.groups.codes.tolist(),
        },
    }


def _features(found: Features) -> dict[str, Any]:
    """Return the distributions, from which the page draws the one that is chosen."""
    groups = text.distinct(found.groups.names)
    return {
        "boxes": charts.feature_boxes(groups),
        "histogram": charts.feature_histogram(),
        "groups": groups,
        "n_labels": found.groups.n_labels,
        "features": [
            {
                "name": one.name,
                "unit": found.columns[one.name]["unit"],
                "definition": found.columns[one.name]["definition"],
                "quantiles": [charts.rounded(row, 4) for row in one.quantiles],
                "counts": one.counts.tolist(),
                "edges": charts.rounded(one.edges),
                "bins": one.bins.tolist(),
                "outside": one.n_outside,
                "missing": one.n_missing,
                "separation": charts.rounded([one.separation], 3)[0],
            }
            for one in found.distributions
        ],
    }


def _best(features: Features | None) -> list[tuple[int, Distribution]]:
    """Return the features that tell labels apart best, each with its place."""
    if features is None:
        return []
    known = [
        (i, one) for i, one in enumerate(features.distributions) if one.separation == one.separation
    ]
    return sorted(known, key=lambda pair: -pair[1].separation)[:_N_BEST]


def _weakest(classification: Classification | None) -> list[Any]:
    return [] if classification is None else classification.weakest[:_N_WEAKEST]
