"""Tracks of several sampling rates, and of fewer hertz than the features need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from jobs.report.health.finding import Finding, examples_of, kilohertz, numbers, worst


def is_low(tracks: pd.DataFrame, spec: Mapping[str, Any]) -> np.ndarray:
    """Return which tracks have a lower sampling rate than the features, if not all have."""
    sr = spec.get("sr")
    if not isinstance(sr, (int, float)):
        return np.zeros(len(tracks), bool)
    found = numbers(tracks["sample_rate_hz"]) < sr
    return found & ~found.all()


def mixed_rates(tracks: pd.DataFrame, spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Find tracks that have another sampling rate than most, where that shows in the features."""
    rates = numbers(tracks["sample_rate_hz"])
    counts = tracks["sample_rate_hz"].value_counts()
    if not len(counts):
        return
    sr = spec.get("sr")
    if isinstance(sr, (int, float)):
        rows = worst(tracks, is_low(tracks, spec), -rates)
        if len(rows):
            yield Finding(
                "low_rates",
                "Sampling rates below that of the features",
                "problem",
                len(rows),
                len(tracks),
                examples_of(
                    rows,
                    lambda row: f"{kilohertz(row.sample_rate_hz)}, features at {kilohertz(sr)}",
                ),
                "Choose a lower rate for all tracks (sr in the spec), or leave these out: in their"
                " upper bands there is nothing, which a classifier may learn.",
            )
        return
    most = counts.index[0]
    rows = worst(tracks, rates != most, np.abs(rates - most))
    if len(rows):
        yield Finding(
            "mixed_rates",
            "Several sampling rates, and features at each track's own",
            "problem",
            len(rows),
            len(tracks),
            examples_of(
                rows, lambda row: f"{kilohertz(row.sample_rate_hz)}, most have {kilohertz(most)}"
            ),
            "Give one rate for all (sr in the spec). Features of other rates are of other bands and"
            " frames.",
        )
