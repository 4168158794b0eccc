"""All findings about a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jobs.report.health import (
    bandwidth,
    decoding,
    duplicates,
    forms,
    labels,
    levels,
    values,
)
from jobs.report.health.finding import Finding, flags
from jobs.report.reading import Features


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of tracks that it was not shown.

    Attributes
    ----------
    tracks : pandas.DataFrame
        The tracks, rows of `jobs.report.reading.read_tracks`.
    classes : sequence of str
        The labels.
    probabilities : np.ndarray [shape=(n_tracks, n_classes)]
        Held-out probabilities; NaN for tracks that were never held out.
    is_sample : bool
        Whether the table has more tracks.
    """

    tracks: pd.DataFrame
    classes: Sequence[str]
    probabilities: np.ndarray
    is_sample: bool = False


def findings(
    tracks: pd.DataFrame,
    errors: pd.DataFrame,
    features: Features,
    predictions: Predictions | None = None,
    spec: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Return what is wrong with the tracks of a table: problems first, then notices.

    Parameters
    ----------
    tracks, errors, features
        As `read_tracks`, `read_errors` and `read_features` of `jobs.report.reading` return them.
    predictions : Predictions, optional
        For tracks that look mislabelled.
    spec : mapping, optional
        The spec of the table, as it is recorded (`TableMetadata.spec`).

    Returns
    -------
    list of Finding
        Empty if nothing was found. No two have the same `kind`.
    """
    found = list(_all(tracks, errors, features, predictions, spec or {}))
    return [
        *(finding for finding in found if finding.severity == "problem"),
        *(finding for finding in found if finding.severity != "problem"),
    ]


def _all(
    tracks: pd.DataFrame,
    errors: pd.DataFrame,
    features: Features,
    predictions: Predictions | None,
    spec: Mapping[str, Any],
) -> Iterator[Finding]:
    yield from decoding.unusable(errors, len(tracks) + len(errors))
    if not len(tracks):
        return
    yield from duplicates.copies(tracks)
    yield from duplicates.near_copies(features)
    yield from decoding.partial(tracks)
    yield from levels.silent(tracks)
    yield from levels.cancelling(tracks)
    yield from levels.clipped(tracks)
    yield from bandwidth.upsampled(tracks)
    yield from forms.mixed_rates(tracks, spec)
    yield from labels.missing(tracks)
    yield from labels.rare(tracks)
    yield from labels.confounded(tracks)
    if predictions is not None:
        yield from labels.mislabelled(
            predictions.tracks,
            predictions.classes,
            predictions.probabilities,
            sampled=predictions.is_sample,
        )
    yield from levels.quiet(tracks)
    yield from levels.short(tracks)
    yield from bandwidth.made_of_lossy(tracks)
    yield from decoding.wrong_headers(tracks, spec)
    yield from decoding.streams(tracks)
    yield from decoding.decoders(tracks)
    is_explained = pd.Series(_explained(tracks, spec), tracks.index)[features.tracks.index]
    yield from values.outliers(features, is_explained.to_numpy())
    yield from values.constant(features)


def _explained(tracks: pd.DataFrame, spec: Mapping[str, Any]) -> np.ndarray:
    """Return the tracks whose features are unusual for a reason that another finding gives."""
    is_explained = levels.is_quiet(tracks) | levels.is_cancelling(tracks) | levels.is_short(tracks)
    is_explained |= flags(tracks["is_silent"]) | duplicates.is_contradicting(tracks)
    is_explained |= forms.is_low(tracks, spec)
    is_explained |= (tracks["decoding"] != "whole").to_numpy(bool)
    if bandwidth.CUTOFF in tracks:
        is_explained |= ~np.isnan(bandwidth.original_rates(tracks))
    return is_explained
