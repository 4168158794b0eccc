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

#: Two tracks are nearly the same if half of their features differ by less than this share of
#: what they usually differ by from track to track nearest to it. Copies of 54 recordings, encoded
#: as MP3 or AAC, differ by 0.01 to 0.5, nine in ten by less than 0.12; excerpts of one recording
#: of waves by 0.3, two takes of one word by one speaker by 0.4.
_NEAR = 0.15

#: And if that is less than this share of their distance to the farthest of the nearest tracks: in
#: a dense part of a corpus, others are near too.
_SHARE = 0.2

#: And if their durations differ by less: encoders pad [s], as a share of the duration.
_PADDING_S = 0.3
_PADDING_SHARE = 0.02

#: Fewer features can agree by chance.
_MIN_FEATURES = 10

#: Nearest tracks that are compared.
_NEIGHBOURS = 6

_BLOCK = 1024

_KEEP_ONE = (
    "Delete all but one of each group. Until then, keep copies on one side of every split, as"
    " featurelib train does: otherwise a classifier is tested on what it has learned."
)


def copies(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks with equal samples, those of different labels apart; not silent ones."""
    again, group, differs = _same_audio(tracks)
    for kind, title, chosen, advice in (
        (
            "contradicting",
            "The same audio with different labels",
            differs,
            "Listen to one of each group, keep the file whose label is right, delete the others.",
        ),
        (
            "duplicates",
            "The same audio more than once",
            ~differs,
            _KEEP_ONE,
        ),
    ):
        if not chosen.any():
            continue
        sizes = np.bincount(group, minlength=len(differs))
        shown = np.flatnonzero(chosen)
        shown = shown[np.argsort(-sizes[shown], kind="stable")][:N_EXAMPLES]
        yield Finding(
            kind,
            title,
            "problem",
            int(sizes[chosen].sum()),
            len(tracks),
            [_example(again[group == one], "the same as") for one in shown],
            advice,
        )


def is_contradicting(tracks: pd.DataFrame) -> np.ndarray:
    """Return which tracks have the same audio as one of another label."""
    again, group, differs = _same_audio(tracks)
    return tracks.index.isin(again.index[differs[group]])


def _same_audio(tracks: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the tracks whose audio occurs again, their groups, and which groups' labels differ."""
    heard = tracks[~flags(tracks["is_silent"]) & tracks[_HASH].notna().to_numpy(bool)]
    again = heard[heard[_HASH].duplicated(keep=False).to_numpy(bool)]
    group, _ = pd.factorize(again[_HASH])
    label = again[LABEL].cat.codes.to_numpy(np.int64)
    n_groups = int(group.max(initial=-1)) + 1
    # the least and the largest label of each group; -1 is none
    largest, least = np.full(n_groups, -1), np.full(n_groups, np.iinfo(np.int64).max)
    np.maximum.at(largest, group, label)
    np.minimum.at(least, group[label >= 0], label[label >= 0])
    return again, group, least < largest


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
    if len(z) < 3 or z.shape[1] < _MIN_FEATURES:
        return []
    near = _nearest(z, min(_NEIGHBOURS, len(z) - 1))
    # What neighbours differ by, feature by feature: a corpus has clusters, which make the
    # deviation of a feature large.
    differences = np.stack([np.abs(z - z[one]) for one in near.T], axis=1)
    usual = np.median(np.median(differences, axis=1), axis=0)
    z, differences = z[:, usual > 0], differences[:, :, usual > 0] / usual[usual > 0]
    if z.shape[1] < _MIN_FEATURES:
        return []
    medians = np.median(differences, axis=2)
    is_near = (medians < _NEAR) & (medians < _SHARE * medians.max(axis=1, keepdims=True))
    apart = np.abs(seconds[:, np.newaxis] - seconds[near])
    is_near &= apart < np.maximum(_PADDING_S, _PADDING_SHARE * seconds[:, np.newaxis])
    found = {
        (min(i, int(near[i, j])), max(i, int(near[i, j]))): float(medians[i, j])
        for i, j in np.argwhere(is_near).tolist()
    }
    return sorted(found, key=lambda pair: (found[pair], pair))


def _nearest(z: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the nearest tracks of each, shape (n_tracks, k)."""
    clipped = np.clip(z, -5, 5)  # a few features that differ much do not hide that the rest agree
    squares = (clipped**2).sum(axis=1)
    near = np.empty((len(z), k), np.int64)
    for start in range(0, len(z), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(z)))
        distances = squares - 2 * clipped[rows] @ clipped.T  # and the rows' own squares
        distances[np.arange(len(rows)), rows] = np.inf
        near[rows] = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return near


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
