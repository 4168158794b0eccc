"""Tracks that are the same recording: equal samples, or nearly equal features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from jobs.report.health.finding import (
    N_EXAMPLES,
    Example,
    Finding,
    flags,
    numbers,
    others,
    text_or_none,
)
from jobs.report.health.levels import is_quiet
from jobs.report.health.values import scaled
from jobs.report.reading import Features
from jobs.table.schema import LABEL, PATH

_HASH = "audio_hash"

#: Two tracks are nearly the same if half of their features differ by less than this, in robust
#: standard deviations. Copies encoded again (MP3, AAC, Vorbis at 96 kbit/s) of 54 recordings
#: have 0.004 to 0.13, most below 0.04; two takes of one word by one speaker have 0.14.
_NEAR = 0.1

#: And if that is less than this share of their distance to other near tracks: in a large corpus,
#: tracks of one kind are near to each other too.
_SHARE = 0.5

#: And if their durations differ by less: encoders pad [s], as a share of the duration.
_PADDING_S = 0.3
_PADDING_SHARE = 0.02

#: Fewer features can agree by chance.
_MIN_FEATURES = 10

#: Nearest tracks that are compared.
_NEIGHBOURS = 6

_BLOCK = 1024


def copies(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks with equal samples, those of different labels apart; not silent ones."""
    heard = tracks[~flags(tracks["is_silent"])]
    hashes = heard[_HASH]
    again = heard[hashes.duplicated(keep=False).to_numpy(bool) & hashes.notna().to_numpy(bool)]
    alike: list[pd.DataFrame] = []
    contradicting: list[pd.DataFrame] = []
    for _, rows in again.groupby(_HASH, sort=False):
        (contradicting if rows[LABEL].dropna().nunique() > 1 else alike).append(rows)
    if contradicting:
        yield _copies(
            "contradicting",
            "The same audio with different labels",
            contradicting,
            len(tracks),
            "Listen to one of each group, keep the file whose label is right, delete the others.",
        )
    if alike:
        yield _copies(
            "duplicates",
            "The same audio more than once",
            alike,
            len(tracks),
            "Delete all but one of each group. Until then, keep copies on one side of every split,"
            " as featurelib train does: otherwise a classifier is tested on what it has learned.",
        )


def _copies(kind: str, title: str, groups: list[pd.DataFrame], total: int, advice: str) -> Finding:
    groups.sort(key=len, reverse=True)
    return Finding(
        kind,
        title,
        "problem",
        sum(map(len, groups)),
        total,
        [_example(rows, "the same as") for rows in groups[:N_EXAMPLES]],
        advice,
    )


def _example(rows: pd.DataFrame, relation: str) -> Example:
    """Return an example for a group of tracks: the first, and what the others are."""
    paths, labels = rows[PATH].tolist(), [text_or_none(label) for label in rows[LABEL]]
    if len({label for label in labels if label is not None}) > 1:
        paths = [
            f"{p} ({'no label' if x is None else x})" for p, x in zip(paths, labels, strict=True)
        ]
    return Example(str(rows[PATH].iloc[0]), f"{relation} {others(paths[1:])}", labels[0])


def near_copies(features: Features) -> Iterator[Finding]:
    """Find tracks whose features are nearly equal, such as copies that were encoded again.

    Copies with equal samples, silent and very quiet tracks are left out.
    """
    tracks = features.tracks
    is_used = ~flags(tracks["is_silent"]) & ~is_quiet(tracks)
    is_used &= ~(tracks[_HASH].duplicated() & tracks[_HASH].notna()).to_numpy(bool)
    tracks, values = tracks[is_used], features.values[is_used].to_numpy()
    pairs = near_pairs(values, numbers(tracks["duration_s"]))
    groups = [tracks.iloc[sorted(group)] for group in _groups(pairs)]
    if groups:
        yield Finding(
            "near_duplicates",
            "Nearly the same audio",
            "problem",
            sum(map(len, groups)),
            len(tracks),
            [_example(rows, "nearly the same as") for rows in groups[:N_EXAMPLES]],
            "Listen to each group: often they are one recording in two encodings or levels. Keep"
            " the best of them.",
            features.is_sample,
        )


def near_pairs(values: np.ndarray, seconds: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of tracks whose features and durations are nearly equal.

    Parameters
    ----------
    values : np.ndarray [shape=(n_tracks, n_features)]
        Features.
    seconds : np.ndarray [shape=(n_tracks,)]
        Durations [s].

    Returns
    -------
    list of (int, int)
        Pairs of indices, the nearest first.
    """
    z = scaled(values)
    z = z[:, z.any(axis=0)]
    n, width = z.shape
    if n < 2 or width < _MIN_FEATURES:
        return []
    k = min(_NEIGHBOURS, n - 1)
    clipped = np.clip(z, -5, 5)  # a few features that differ much do not hide that the rest agree
    squares = (clipped**2).sum(axis=1)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        distances = squares - 2 * clipped[rows] @ clipped.T  # and the rows' own squares
        distances[np.arange(len(rows)), rows] = np.inf
        near = np.argpartition(distances, k - 1, axis=1)[:, :k]
        medians = np.stack(
            [np.median(np.abs(z[rows] - z[near[:, j]]), axis=1) for j in range(k)], 1
        )
        usual = medians.max(axis=1) if k == _NEIGHBOURS else np.full(len(rows), np.inf)
        difference = np.abs(seconds[rows, None] - seconds[near])
        is_near = (medians < _NEAR) & (medians < _SHARE * usual[:, None])
        is_near &= difference < np.maximum(_PADDING_S, _PADDING_SHARE * seconds[rows, None])
        for i, j in np.argwhere(is_near):
            a, b = int(rows[i]), int(near[i, j])
            found[min(a, b), max(a, b)] = float(medians[i, j])
    return sorted(found, key=lambda pair: (found[pair], pair))


def _groups(pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Return the connected components of pairs, in the order of their first pair."""
    group_of: dict[int, set[int]] = {}
    for pair in pairs:
        joined = set(pair).union(*(group_of.get(one, ()) for one in pair))
        for one in joined:
            group_of[one] = joined
    groups: list[set[int]] = []
    for group in group_of.values():
        if not any(group is known for known in groups):
            groups.append(group)
    return groups
