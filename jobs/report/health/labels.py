"""Labels that are missing, rare or unequal, that go with the form of the file, or look wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from jobs.report.health.finding import N_EXAMPLES, Example, Finding, examples_of, text_or_none
from jobs.table.schema import LABEL, PATH

#: Labels with fewer tracks cannot be in each of the five parts of a cross-validation.
_FEW = 5

#: The largest label has so many times the tracks of the smallest one.
_UNEQUAL = 10.0

#: A form goes with the labels from this Cramér's V on: 0 is independence, 1 is one label a form.
_GOES_WITH = 0.5

#: Labels and forms are compared for tables with so many tracks.
_MIN_TRACKS = 50

#: Least difference between the probability of another label and that of the own one.
_MARGIN = 0.5

#: Of the tracks for which a classifier is sure of a label, so many have it. If fewer do, it says
#: little of a track that it contradicts it: with features that say nothing, it does so everywhere.
_USUALLY_RIGHT = 0.7

#: Columns that say how a track was recorded or stored, and what they are called.
_FORMS = {
    "sample_rate_hz": "sampling rate",
    "channels": "number of channels",
    "format": "format",
    "subtype": "encoding",
}


def missing(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks without label, if others have one."""
    is_missing = tracks[LABEL].isna().to_numpy(bool)
    if is_missing.any() and not is_missing.all():
        rows = tracks[is_missing]
        yield Finding(
            "unlabelled",
            "Tracks without a label",
            "problem",
            len(rows),
            len(tracks),
            examples_of(rows, lambda row: "no label"),
            "Label them, or leave them out of training.",
        )


def rare(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find labels that few tracks have, and labels of very unequal sizes."""
    counts = tracks[LABEL].value_counts()
    counts = counts[counts > 0]
    if len(counts) < 2:
        return
    few = counts[counts < _FEW].sort_values(kind="stable")
    if len(few):
        yield Finding(
            "rare_labels",
            f"Labels with fewer than {_FEW} tracks",
            "problem",
            len(few),
            len(counts),
            _labels(few),
            "Get more tracks of these labels, join them with others, or leave them out: they cannot"
            " be learned and tested at once.",
            unit="labels",
        )
    least = counts.max() / _UNEQUAL
    small = counts[(counts <= least) & (counts >= _FEW)].sort_values(kind="stable")
    if len(small):
        yield Finding(
            "unequal_labels",
            f"Labels with a tenth of the tracks of {str(counts.idxmax())!r}, or fewer",
            "notice",
            len(small),
            len(counts),
            _labels(small),
            "Look at macro-F1 and the scores of each label, not at accuracy; weight the labels, or"
            " get more tracks of these.",
            unit="labels",
        )


def _labels(counts: pd.Series) -> list[Example]:
    return [
        Example(str(label), f"{n} track{'s' * (n != 1)}", text_or_none(label))
        for label, n in counts.head(N_EXAMPLES).items()
    ]


def confounded(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find forms of files that go with the labels, so that a classifier may learn the form."""
    known = tracks[tracks[LABEL].notna()]
    if len(known) < _MIN_TRACKS:
        return
    examples = []
    for column, name in _FORMS.items():
        strength = association(known[LABEL], known[column])
        if strength >= _GOES_WITH:
            shares = pd.crosstab(known[column], known[LABEL], normalize="columns")
            form, label = shares.stack().sub(shares.mean(axis=1), level=0).idxmax()
            share = 100 * shares.loc[form, label]
            text = (
                f"{share:.0f} % of {label!r} are {form}, and {100 * shares.loc[form].mean():.0f} %"
            )
            examples.append((strength, Example(name, f"{text} of an average label", None)))
    if examples:
        examples.sort(key=lambda one: -one[0])
        yield Finding(
            "confounded",
            "Labels go with the form of the files",
            "problem",
            len(examples),
            len(_FORMS),
            [example for _, example in examples],
            "Get tracks of each label in each form, or convert all of them to one: low-pass,"
            " resample and mix them alike. Otherwise a classifier may learn the form, and fail on"
            " new tracks.",
            unit="properties",
        )


def association(labels: pd.Series, forms: pd.Series) -> float:
    """Return Cramér's V of two columns, corrected for chance.

    The correction is that of W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T,
    Journal of the Korean Statistical Society 42 (2013).

    Returns
    -------
    float
        0 for independent columns, 1 if each label has a form of its own; 0 for one value.
    """
    counts = pd.crosstab(labels, forms).to_numpy(float)
    n, (rows, columns) = counts.sum(), counts.shape
    if min(rows, columns) < 2 or n < 2:
        return 0.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / n
    phi = ((counts - expected) ** 2 / expected).sum() / n
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(phi / least)) if least > 0 else 0.0


def mislabelled(
    tracks: pd.DataFrame,
    classes: Sequence[str],
    probabilities: np.ndarray,
    *,
    sampled: bool = False,
) -> Iterator[Finding]:
    """Find tracks that a classifier, which was not shown them, is sure are of another label.

    A classifier is sure of a label if it gives it at least the probability that it gives it on
    average for tracks which have it (C. Northcutt et al., Confident Learning, Journal of
    Artificial Intelligence Research 70, 2021), and 0.5 more than the track's own. It must be right
    for seven in ten of the tracks for which it is sure of that label, with half of the probability.

    Parameters
    ----------
    tracks : pandas.DataFrame
        Tracks, with their labels.
    classes : sequence of str
        The labels, in the order of the probabilities.
    probabilities : np.ndarray [shape=(n_tracks, n_classes)]
        Held-out probabilities; NaN for tracks that were never held out.
    sampled : bool
        Whether the table has more tracks.
    """
    own = pd.Index(classes).get_indexer(tracks[LABEL].astype(object))
    known = np.flatnonzero((own >= 0) & ~np.isnan(probabilities).any(axis=1))
    p, own = np.asarray(probabilities, float)[known], own[known]
    at = np.arange(len(own))
    is_own = np.zeros_like(p, bool)
    is_own[at, own] = True
    with np.errstate(invalid="ignore"):
        sure = np.where(is_own, p, 0).sum(axis=0) / is_own.sum(axis=0)
    other = np.where(is_own, -1.0, p).argmax(axis=1)
    margin = p[at, other] - p[at, own]
    is_found = (margin >= _MARGIN) & (p[at, other] >= sure[other])
    is_found &= _is_usually_right(p, own, sure)[other]
    found = np.flatnonzero(is_found)
    found = found[np.argsort(-margin[found], kind="stable")]
    if not len(found):
        return
    right = np.mean(p.argmax(axis=1) == own)
    examples = [
        Example(
            str(tracks[PATH].iloc[known[i]]),
            f"looks like {classes[other[i]]!r}: probability {p[i, other[i]]:.2f}, and"
            f" {p[i, own[i]]:.2f} for its label",
            classes[own[i]],
        )
        for i in found[:N_EXAMPLES]
    ]
    yield Finding(
        "mislabelled",
        "Tracks that look mislabelled",
        "notice",
        len(found),
        len(known),
        examples,
        "Listen to them, from the top, and correct the labels that are wrong. A classifier that did"
        f" not see these tracks, and is right for {100 * right:.0f} % of all, is sure of another"
        " label; it may be wrong too.",
        sampled,
    )


def _is_usually_right(p: np.ndarray, own: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Return for each label whether most tracks have it for which a classifier is sure of it."""
    top = p.argmax(axis=1)
    largest = p.max(axis=1)
    is_sure = (largest >= sure[top]) & (largest >= _MARGIN)
    n_sure = np.bincount(top[is_sure], minlength=len(sure))
    n_right = np.bincount(top[is_sure & (top == own)], minlength=len(sure))
    return n_right >= _USUALLY_RIGHT * n_sure
