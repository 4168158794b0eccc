"""Beats of an onset strength at a known tempo."""

from __future__ import annotations

import numpy as np

#: How much a step that is not one period costs.
_TIGHTNESS = 100.0


def beats(strength: np.ndarray, period: float) -> np.ndarray:
    """Return the frames that are beats, by dynamic programming.

    Of all sequences of frames, it is the one with the most onset strength whose steps are close to
    the period. Weak frames at both ends are no beats.

    Parameters
    ----------
    strength : np.ndarray [shape=(n_frames,)]
        Onset strength.
    period : float
        From one beat to the next [frames].

    Returns
    -------
    np.ndarray [shape=(n_beats,), dtype=int]

    Notes
    -----
    Ellis, D. P. W. (2007). Beat tracking by dynamic programming. Journal of New Music Research,
    36(1), 51-60.
    """
    step = max(round(period), 1)
    deviation = strength.std(ddof=1) if len(strength) > 1 else 0.0
    if not deviation > 0:
        return np.empty(0, int)
    score = _smoothed(strength / deviation, step)
    best, before = _chained(score, step)
    is_peak = np.append(best[:-1] >= best[1:], True) & np.append(True, best[1:] > best[:-1])
    peaks = np.flatnonzero(is_peak)
    frame = int(peaks[best[peaks] >= 0.5 * np.median(best[peaks])][-1])
    found = []
    while frame >= 0:
        found.append(frame)
        frame = int(before[frame])
    chain = np.array(found[::-1])
    strong = np.flatnonzero(score[chain] > 0.5 * np.sqrt(np.mean(score[chain] ** 2)))
    return chain[strong[0] : strong[-1] + 1] if len(strong) else np.empty(0, int)


def _smoothed(strength: np.ndarray, step: int) -> np.ndarray:
    """Return the strength around each frame, within a small part of a step."""
    window = np.exp(-0.5 * (32.0 * np.arange(-step, step + 1) / step) ** 2)
    return np.convolve(strength, window)[step : step + len(strength)]


def _chained(score: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of the best chain up to each frame, and the beat before it; -1 if none."""
    best, before = score.copy(), np.full(len(score), -1)
    lags = np.arange(max(step // 2, 1), 2 * step + 1)
    costs = _TIGHTNESS * np.log(lags / step) ** 2
    least = 0.01 * score.max()
    is_begun = False
    for i in range(len(score)):
        is_begun = is_begun or score[i] >= least
        n = np.searchsorted(lags, i, side="right")
        if not n:
            continue
        chains = best[i - lags[:n]] - costs[:n]
        k = int(chains.argmax())
        best[i] += chains[k]
        if is_begun:
            before[i] = i - lags[k]
    return best, before
