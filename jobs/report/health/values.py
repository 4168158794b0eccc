"""Features that say nothing, and tracks whose features are far from all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from jobs.report.health.finding import N_EXAMPLES, Example, Finding, text_or_none
from jobs.report.reading import Features
from jobs.table.schema import LABEL, PATH

#: Outliers are looked for among so many tracks of a label, or else among all.
_MIN_TRACKS = 20

#: Stands for labels of fewer tracks.
_RARE = -2

#: Features that are named for an outlier.
_NAMED = 3

#: Deviations of single features count up to this: otherwise one feature would decide.
_MOST = 10.0

#: Bound of all deviations, so that sums of their squares are exact enough.
_CLIP = 1000.0

#: An outlier's mean deviation is so many interquartile ranges above the third quartile.
_RANGES = 4.0

#: The interquartile range of a normal distribution, in standard deviations.
_IQR = 1.349


def scaled(values: np.ndarray) -> np.ndarray:
    """Return features in robust standard deviations from their medians.

    Parameters
    ----------
    values : np.ndarray [shape=(n_tracks, n_features)]
        Features; NaN counts as the median.

    Returns
    -------
    np.ndarray [shape=(n_tracks, n_features), dtype=float32]
        Features of which half of the tracks have the same value are 0.
    """
    values = np.where(np.isnan(values).all(axis=0), 0.0, values)
    z = np.zeros(values.shape, np.float32)
    if not z.size:
        return z
    low, median, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
    used = high > low
    deviations = np.nan_to_num(values - median, nan=0.0)[:, used]
    z[:, used] = np.clip(deviations / ((high - low)[used] / _IQR), -_CLIP, _CLIP)
    return z


def constant(features: Features) -> Iterator[Finding]:
    """Find features that are the same in all tracks, or not known."""
    values = features.values
    if len(values) < 2:
        return
    array = values.to_numpy()
    n_unknown = np.isnan(array).sum(axis=0)
    examples = []
    for i, name in enumerate(values.columns):
        known = array[~np.isnan(array[:, i]), i]
        if not len(known):
            examples.append(Example(name, "not known for any track", None))
        elif n_unknown[i]:
            examples.append(Example(name, f"not known for {n_unknown[i]} tracks", None))
        elif known.min() == known.max():
            examples.append(Example(name, f"{known[0]:g} for all tracks", None))
    if examples:
        yield Finding(
            "constant",
            "Features that say nothing",
            "notice",
            len(examples),
            values.shape[1],
            examples[:N_EXAMPLES],
            "Leave them out of the spec, or out of training: they only take time.",
            features.is_sample,
            "features",
        )


def outliers(features: Features, is_explained: np.ndarray) -> Iterator[Finding]:
    """Find tracks whose features are far from those of the others of their label.

    Parameters
    ----------
    features : Features
        The tracks.
    is_explained : np.ndarray [shape=(n_tracks,), dtype=bool]
        Tracks that are left out, since other findings say why they differ.
    """
    tracks, values = features.tracks[~is_explained], features.values[~is_explained].to_numpy()
    if not values.shape[1]:
        return
    codes = tracks[LABEL].cat.codes.to_numpy()
    sizes = np.bincount(codes + 1, minlength=1)
    codes = np.where(sizes[codes + 1] >= _MIN_TRACKS, codes, _RARE)
    found: list[tuple[float, int, str]] = []
    for code in np.unique(codes):
        at = np.arange(len(codes)) if code == _RARE else np.flatnonzero(codes == code)
        if len(at) < _MIN_TRACKS:
            continue
        deviations = np.abs(scaled(values[at]))
        means = np.minimum(deviations, _MOST).mean(axis=1)
        low, high = np.quantile(means, [0.25, 0.75])
        beyond = means - (high + _RANGES * (high - low))
        for i in np.flatnonzero((beyond > 0) & (codes[at] == code)):
            found.append((beyond[i], at[i], _farthest(deviations[i], features.values.columns)))
    if not found:
        return
    found.sort(key=lambda one: (-one[0], one[1]))
    yield Finding(
        "outliers",
        "Tracks unlike all others of their label",
        "notice",
        len(found),
        len(tracks),
        [
            Example(str(tracks[PATH].iloc[i]), detail, text_or_none(tracks[LABEL].iloc[i]))
            for _, i, detail in found[:N_EXAMPLES]
        ],
        "Listen to them: often they are speech among music, test tones, noise or another kind of"
        " recording.",
        features.is_sample,
    )


def _farthest(deviations: np.ndarray, names: pd.Index) -> str:
    """Return a text that names the features that deviate most."""
    first = np.argsort(-deviations, kind="stable")[:_NAMED]
    named = ", ".join(f"{names[i]} ({deviations[i]:.0f})" for i in first)
    return f"farthest features, in usual deviations: {named}"
