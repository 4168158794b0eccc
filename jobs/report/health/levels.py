"""Tracks that are silent, very quiet, clipped or very short, and channels that cancel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from jobs.report.health.finding import Finding, examples_of, flags, numbers, worst
from jobs.report.text import percent
from jobs.table.signs import CANCELS_BELOW

#: Peaks below it are very quiet: -40 dBFS. Samples of 16 bits have fewer than ten bits there.
_QUIET = 0.01

#: Share of clipped samples from which on a track counts as clipped. Loud masters reach full
#: scale in single samples; one in a thousand is 44 a second, which is heard as distortion.
_CLIPPED = 1e-3

#: Shorter tracks have few frames, whatever the others are like [s].
_SHORTEST_S = 0.1

#: Shorter tracks than this share of the median are of another kind than the others.
_SHORT_SHARE = 0.1

#: Tracks below a quarter of the median are short if they also last less than this [s].
_SHORT_S = 1.0


def silent(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks without any sound."""
    rows = worst(tracks, flags(tracks["is_silent"]), numbers(tracks["duration_s"]))
    if len(rows):
        yield Finding(
            "silent",
            "Silent tracks",
            "problem",
            len(rows),
            len(tracks),
            examples_of(rows, lambda row: f"{row.duration_s:.4g} s, {_peak(row.peak)}"),
            "Replace or delete them. All silent tracks have the same features, whatever the label.",
        )


def is_quiet(tracks: pd.DataFrame) -> np.ndarray:
    """Return which tracks are very quiet, but not silent."""
    return ~flags(tracks["is_silent"]) & (numbers(tracks["peak"]) < _QUIET)


def quiet(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks that are hardly heard."""
    rows = worst(tracks, is_quiet(tracks), -numbers(tracks["peak"]))
    if len(rows):
        yield Finding(
            "quiet",
            "Very quiet tracks",
            "notice",
            len(rows),
            len(tracks),
            examples_of(rows, lambda row: _peak(row.peak)),
            "Listen to them: often nothing but noise was recorded. If there is more, get a copy"
            " with a higher level; amplifying does not bring back what was lost.",
        )


def _peak(peak: float) -> str:
    return "no sound at all" if peak <= 0 else f"peak {20 * np.log10(peak):.0f} dBFS"


def clipped(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks that were recorded too loud."""
    share = numbers(tracks["clipped_fraction"])
    rows = worst(tracks, share >= _CLIPPED, share)
    if len(rows):
        yield Finding(
            "clipped",
            "Clipped tracks",
            "problem",
            len(rows),
            len(tracks),
            examples_of(
                rows, lambda row: f"{percent(row.clipped_fraction)} of the samples at full scale"
            ),
            "Get a copy with a lower level. Clipping adds harmonics, which change the features of"
            " the spectrum.",
        )


def is_cancelling(tracks: pd.DataFrame) -> np.ndarray:
    """Return which tracks have channels that cancel out when mixed down."""
    peak, mix_peak = numbers(tracks["peak"]), numbers(tracks["mix_peak"])
    return ~flags(tracks["is_silent"]) & (mix_peak < CANCELS_BELOW * peak)


def cancelling(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks whose channels are each other's opposite."""
    peak, mix_peak = numbers(tracks["peak"]), numbers(tracks["mix_peak"])
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = worst(tracks, is_cancelling(tracks), -np.nan_to_num(mix_peak / peak))
    if len(rows):
        yield Finding(
            "cancelling",
            "Channels that cancel out",
            "problem",
            len(rows),
            len(tracks),
            examples_of(
                rows, lambda row: f"peak {row.peak:.2g}, and {row.mix_peak:.1g} after mixing down"
            ),
            'Invert one channel of these files, or extract them with channels = "each". The'
            " features are of what is left of the mix, which is next to nothing.",
        )


def is_short(tracks: pd.DataFrame) -> np.ndarray:
    """Return which tracks are very short, by themselves or beside the others."""
    seconds = numbers(tracks["duration_s"])
    if not len(seconds):
        return np.zeros(0, bool)
    median = float(np.median(seconds))
    limit = max(_SHORTEST_S, _SHORT_SHARE * median, min(_SHORT_S, median / 4))
    return seconds < limit


def short(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks that are much shorter than the others."""
    seconds = numbers(tracks["duration_s"])
    rows = worst(tracks, is_short(tracks), -seconds)
    if len(rows):
        median = float(np.median(seconds))
        yield Finding(
            "short",
            "Very short tracks",
            "notice",
            len(rows),
            len(tracks),
            examples_of(
                rows, lambda row: f"{row.duration_s:.3g} s; half of the tracks have {median:.3g} s"
            ),
            "Listen to them, and leave out what is no recording of its own: means and deviations of"
            " few frames say little.",
        )
