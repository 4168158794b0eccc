"""What a corpus is: numbers of files, hours and bytes, by label, format, rate and channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

#: Most rows of a table of values; the rest is one row.
MAX_ROWS = 30

#: Bins of a histogram of durations.
_N_BINS = 40

#: Durations whose 99th percentile is this many times the 1st are shown on a logarithmic axis.
_WIDE = 30.0


@dataclass(frozen=True)
class Line:
    """One value of a column, and the tracks that have it.

    Attributes
    ----------
    name : str
        The value as text.
    n_files : int
        Number of tracks.
    share : float
        Their share of all tracks, 0 to 1.
    seconds : float
        Sum of their durations [s].
    median_s : float
        Median of their durations [s].
    """

    name: str
    n_files: int
    share: float
    seconds: float
    median_s: float


@dataclass(frozen=True)
class Breakdown:
    """Tracks by the values of a column.

    Attributes
    ----------
    title : str
        What the values are.
    lines : list of Line
        The largest first; the last one may stand for the rest.
    n_values : int
        Number of different values.
    """

    title: str
    lines: list[Line]
    n_values: int


@dataclass(frozen=True)
class Contents:
    """What a corpus is.

    Attributes
    ----------
    n_files : int
        Number of tracks with features.
    n_rows : int
        Number of rows of the table.
    n_errors : int
        Number of files without features.
    seconds : float
        Sum of the durations of all tracks [s].
    n_bytes : int
        Size of all files with features [byte].
    n_labels : int
        Number of labels.
    n_unlabelled : int
        Number of tracks without label.
    quantiles_s : dict of str to float
        Shortest, median and longest duration [s]; empty without tracks.
    labels : Breakdown
        Tracks by label.
    breakdowns : list of Breakdown
        Tracks by format, sampling rate, channels and decoder.
    """

    n_files: int
    n_rows: int
    n_errors: int
    seconds: float
    n_bytes: int
    n_labels: int
    n_unlabelled: int
    quantiles_s: dict[str, float]
    labels: Breakdown
    breakdowns: list[Breakdown]


def contents_of(tracks: pd.DataFrame, n_errors: int) -> Contents:
    """Return what a corpus is.

    Parameters
    ----------
    tracks : pandas.DataFrame
        One row for each track, as `jobs.report.reading.read_tracks` returns them.
    n_errors : int
        Number of files without features.
    """
    seconds = tracks["duration_s"]
    known = seconds.dropna()
    quantiles = (
        {"shortest": known.min(), "median": known.median(), "longest": known.max()}
        if len(known)
        else {}
    )
    label = tracks["label"]
    return Contents(
        n_files=len(tracks),
        n_rows=int(tracks["n_rows"].sum()),
        n_errors=n_errors,
        seconds=float(seconds.sum()),
        n_bytes=int(tracks["size_bytes"].sum()),
        n_labels=int(label.nunique()),
        n_unlabelled=int(label.isna().sum()),
        quantiles_s={name: float(value) for name, value in quantiles.items()},
        labels=breakdown("Label", label, seconds),
        breakdowns=[
            breakdown("Format", _formats(tracks), seconds),
            breakdown("Sampling rate", tracks["sample_rate_hz"], seconds, "{:,.0f} Hz"),
            breakdown("Channels", tracks["channels"], seconds, "{:.0f}"),
            breakdown("Decoder", tracks["decoder"], seconds),
        ],
    )


def _formats(tracks: pd.DataFrame) -> pd.Series:
    """Return format and subtype of each track, as one categorical text."""
    pairs = tracks.groupby(["format", "subtype"], observed=True, dropna=False).ngroup()
    first = tracks[["format", "subtype"]].assign(pair=pairs).drop_duplicates("pair")
    names = {
        row.pair: " ".join(str(v) for v in (row.format, row.subtype) if isinstance(v, str))
        for row in first.itertuples()
    }
    return pairs.map(names).astype("category")


def breakdown(
    title: str, values: pd.Series, seconds: pd.Series, form: str = "{}", n: int = MAX_ROWS
) -> Breakdown:
    """Return tracks by the values of a column, the most frequent value first.

    Parameters
    ----------
    title : str
        What the values are.
    values : pandas.Series
        A value for each track; null is a value too.
    seconds : pandas.Series
        Duration of each track [s].
    form : str
        Format of a value as text.
    n : int
        Most lines; the others are added up in one line more.
    """
    grouped = seconds.groupby(values.to_numpy(), observed=True, dropna=False)
    found = pd.DataFrame(
        {"n": grouped.size(), "s": grouped.sum(), "median": grouped.median()}
    ).reset_index(names="value")
    found["name"] = [form.format(v) if not _is_null(v) else "(none)" for v in found["value"]]
    found = found.sort_values(["n", "name"], ascending=[False, True])
    total = max(1, len(values))
    lines = [
        Line(row.name, int(row.n), row.n / total, float(row.s), float(row.median))
        for row in found.head(n).itertuples(index=False, name="Row")
    ]
    rest = found.iloc[n:]
    if len(rest):
        is_rest = pd.Series(values.to_numpy()).isin(list(rest["value"])).to_numpy()
        lines.append(
            Line(
                f"({len(rest)} others)",
                int(rest["n"].sum()),
                rest["n"].sum() / total,
                float(rest["s"].sum()),
                float(seconds[is_rest].median()),
            )
        )
    return Breakdown(title, lines, len(found))


def _is_null(value: Any) -> bool:
    return bool(pd.isna(value))


@dataclass(frozen=True)
class Histogram:
    """Numbers of values in bins.

    Attributes
    ----------
    edges : np.ndarray [shape=(n + 1,)]
        Edges of the bins.
    counts : np.ndarray [shape=(n,)]
        Number of values in each bin.
    is_log : bool
        Whether the bins are equally wide on a logarithmic axis.
    n_outside : int
        Number of values beyond the first and the last edge.
    """

    edges: np.ndarray
    counts: np.ndarray
    is_log: bool
    n_outside: int


def duration_histogram(seconds: pd.Series) -> Histogram | None:
    """Return the histogram of durations, logarithmic if they differ much; None if all are equal.

    Parameters
    ----------
    seconds : pandas.Series
        Durations [s].
    """
    values = seconds.dropna().to_numpy(np.float64)
    values = values[values > 0]
    if len(values) < 2 or values.min() == values.max():
        return None
    low, high = np.quantile(values, [0.01, 0.99])
    if high > _WIDE * low:
        edges = np.geomspace(values.min(), values.max(), _N_BINS + 1)
        edges[0], edges[-1] = values.min(), values.max()
        return Histogram(edges, np.histogram(values, edges)[0], is_log=True, n_outside=0)
    # Few tracks are all on the axis.
    low = np.quantile(values, 0.001, method="lower")
    high = np.quantile(values, 0.999, method="higher")
    if low == high:
        low, high = values.min(), values.max()
    counts, edges = np.histogram(values, _N_BINS, range=(low, high))
    return Histogram(edges, counts, is_log=False, n_outside=len(values) - int(counts.sum()))
