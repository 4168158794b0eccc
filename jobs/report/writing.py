"""Write the page about a table: read, compute, render, and replace the file in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from featurelib.extras import needing
from jobs.errors import ConflictError, TableError, UsageError
from jobs.execution.version import software_version
from jobs.export.target import check_apart, check_name, new_file
from jobs.report import classifier, projection, reading
from jobs.report.classifier import Classification, classify
from jobs.report.contents import contents_of, duration_histogram
from jobs.report.correlations import correlations
from jobs.report.distributions import distributions
from jobs.report.failures import failures_of
from jobs.report.groups import Groups, group_labels
from jobs.report.health import Finding, Predictions, findings
from jobs.report.page import Features, Report, TrackMap, render
from jobs.report.projection import map_of
from jobs.report.reading import read_errors, read_features, read_tracks, sample_tracks
from jobs.report.text import percent, size
from jobs.runs import runs_in
from jobs.storage.urls import split_name
from jobs.table.reader import Table, open_table

#: Tracks from which distributions are made, and in which similar tracks are looked for.
N_TRACKS = 20_000

#: Tracks from which correlations are computed.
N_CORRELATED = 5000


@dataclass(frozen=True)
class Page:
    """A page that was made of a table.

    Attributes
    ----------
    output : str
        Location of the page.
    n_bytes : int
        Its size [byte].
    n_files, n_errors : int
        Number of tracks with features, and of files without.
    findings : list of Finding
        What is wrong with the corpus, or worth a look.
    accuracy : float or None
        Cross-validated accuracy of the classifier on the page; None if there is none.
    """

    output: str
    n_bytes: int
    n_files: int
    n_errors: int
    findings: list[Finding]
    accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the page as a dictionary for JSON."""
        return {
            "output": self.output,
            "bytes": self.n_bytes,
            "files": self.n_files,
            "errors": self.n_errors,
            "accuracy": self.accuracy,
            "findings": [
                {
                    "kind": finding.kind,
                    "severity": finding.severity,
                    "title": finding.title,
                    "count": finding.count,
                    "total": finding.total,
                    "unit": finding.unit,
                    "sampled": finding.sampled,
                    "advice": finding.advice,
                    "examples": [
                        {"path": e.path, "label": e.label, "detail": e.detail}
                        for e in finding.examples
                    ],
                }
                for finding in self.findings
            ],
        }

    def lines(self) -> list[str]:
        """Return the page as lines of text for people."""
        files = f"{self.n_files} file{'s' * (self.n_files != 1)}"
        errors = f"{self.n_errors} error{'s' * (self.n_errors != 1)}"
        lines = [f"{self.output}: {files}, {errors}, {size(self.n_bytes)}"]
        if self.accuracy is not None:
            lines.append(f"a classifier gets {percent(self.accuracy)} of the labels right")
        for finding in self.findings:
            n = f"{finding.count} of {finding.total} {finding.unit}"
            lines.append(f"{finding.severity}: {finding.title} ({n})")
        return lines


def write_report(
    location: str,
    output: str,
    options: dict[str, Any],
    *,
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> Page:
    """Write one self-contained HTML page about a table.

    The same table gives the same page. The file appears when it is complete.

    Parameters
    ----------
    location : str
        Location of the table.
    output : str
        Path or URL of the page.
    options : dict
        Storage options for fsspec.
    force : bool
        Replace the file if it exists.
    on_step : callable
        Gets a line of text when a step begins.

    Raises
    ------
    UsageError
        If the file exists, is no file, or is in the table.
    TableError
        If the table cannot be read, or a run changes it meanwhile.
    featurelib.MissingExtraError
        If libraries for reports are not installed.
    """
    check_name(output, example="report.html")
    _check_extra()
    table = open_table(location, options)
    check_apart(table.store.url, output, options)
    with new_file(output, options, force=force) as file:
        report = _report(table, on_step)
        on_step("writing the page")
        data = render(report).encode()
        file.write(data)
    found = report.classification
    return Page(
        output,
        len(data),
        report.contents.n_files,
        report.contents.n_errors,
        report.findings,
        None if found is None else found.accuracy,
    )


def _check_extra() -> None:
    """Fail before the work if a library is missing."""
    with needing("report"):
        import altair  # noqa: F401
        import jinja2  # noqa: F401
        import sklearn  # noqa: F401
        import skops  # noqa: F401
        import vl_convert  # noqa: F401


def _report(table: Table, on_step: Callable[[str], None]) -> Report:
    """Read and compute; errors name the table, not the page that is written meanwhile."""
    url = table.store.url
    try:
        return _read_report(table, on_step)
    except (ConflictError, FileNotFoundError) as error:
        raise TableError(f"{url} was changed by a run while it was read: try again") from error
    except OSError as error:
        raise TableError(f"cannot read {url}: {error.strerror or error}") from error


def _read_report(table: Table, on_step: Callable[[str], None]) -> Report:
    on_step("reading the table")
    tracks, errors = read_tracks(table), read_errors(table)
    runs = runs_in(table.store)
    features = read_features(table, tracks, N_TRACKS)
    on_step("training a classifier on tracks, and predicting others")
    classification, why_not = _classified(features)
    on_step("looking for what is wrong")
    found = findings(tracks, errors, features, _predictions(classification), table.metadata.spec)
    on_step("describing the features")
    groups = group_labels(tracks["label"])
    described = _described(table, features, groups)
    on_step("drawing the map")
    mapped = _mapped(features, groups)
    metadata = table.metadata
    return Report(
        name=_name(metadata.corpus),
        table=table.store.url,
        corpus=metadata.corpus,
        preset=str(metadata.spec.get("name", "custom")),
        labels=metadata.labels,
        version=software_version(),
        contents=contents_of(tracks, len(errors)),
        durations=duration_histogram(tracks["duration_s"]),
        findings=found,
        failures=failures_of(errors),
        features=described,
        map=mapped,
        classification=classification,
        no_classification=why_not,
        runs=runs,
    )


def _name(corpus: str) -> str:
    """Return the last part of a location."""
    return split_name(corpus.rstrip("/"))[1] or corpus


def _classified(features: reading.Features) -> tuple[Classification | None, str]:
    """Return predictions of tracks, or why there are none."""
    try:
        return classify(taken(features, classifier.N_TRACKS)), ""
    except UsageError as error:
        return None, str(error)


def _predictions(found: Classification | None) -> Predictions | None:
    if found is None:
        return None
    result = found.result
    return Predictions(found.tracks, result.classes, result.probabilities, found.is_sample)


def taken(features: reading.Features, n: int) -> reading.Features:
    """Return some of the tracks, chosen as `read_features` chooses them."""
    tracks = sample_tracks(features.tracks, n)
    is_sample = features.is_sample or len(tracks) < len(features.tracks)
    return reading.Features(tracks, features.values.loc[tracks.index], is_sample)


def _described(table: Table, features: reading.Features, groups: Groups) -> Features | None:
    if features.values.empty:
        return None
    groups = groups.take(features.tracks.index.to_numpy())
    few = taken(features, N_CORRELATED)
    return Features(
        n_tracks=len(features.tracks),
        is_sample=features.is_sample,
        groups=groups,
        distributions=distributions(features.values, groups, features.tracks["label"]),
        columns={column["name"]: column for column in table.metadata.columns},
        correlations=correlations(few.values),
        n_correlated=len(few.tracks),
    )


def _mapped(features: reading.Features, groups: Groups) -> TrackMap | None:
    few = taken(features, projection.N_TRACKS)
    found = map_of(few.values)
    if found is None:
        return None
    return TrackMap(found, few.tracks, groups.take(few.tracks.index.to_numpy()), few.is_sample)
