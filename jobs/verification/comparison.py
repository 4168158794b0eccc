"""Comparison of a row's values with librosa's, NumPy's and SciPy's. It imports librosa."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import librosa
import numpy as np
import scipy.stats

import featurelib
from jobs.verification.expressions import Expressions, Values
from jobs.verification.outcomes import (
    MAX_FLIPPED,
    NOT_FINITE,
    WITHIN_ROUNDING,
    Deviation,
    FileOutcome,
)

#: The promise: |Δ| ≤ RELATIVE · |value| + OF_RMS · RMS of the frame series.
RELATIVE, OF_RMS = 1e-4, 1e-6

#: Skewness and kurtosis of values that vary by less than this, relative to their RMS, are those
#: of rounding errors.
_CONSTANT = 1e-5

#: A value may differ from librosa's by so many times its rounding errors.
_ROUNDINGS = 4.0

_SERIES = "series"


class Place(NamedTuple):
    """The row of a value."""

    path: str
    channel: int | None
    segment: int | None


class Comparison:
    """Comparison of rows of one spec with librosa.

    Parameters
    ----------
    spec : FeatureSpec
        The spec.
    """

    def __init__(self, spec: featurelib.FeatureSpec) -> None:
        self._spec = spec
        self._calls = {
            entry.name: featurelib.librosa_call(entry.feature, spec.fixed_sr)
            for entry in spec.features
        }
        self._separated = {name: _separated(call) for name, call in self._calls.items()}
        calls = [*self._calls.values(), *self._separated.values()]
        self._expressions = Expressions(call for call in calls if call != "none")

    def compare(
        self, y: np.ndarray, sr: int, row: Mapping[str, Any], place: Place, outcome: FileOutcome
    ) -> None:
        """Compare the values of a row with those of its signal.

        Parameters
        ----------
        y : np.ndarray [shape=(n,), dtype=float32]
            The signal.
        sr : int
            Its sampling rate [Hz].
        row : mapping
            Values of the feature columns; series are arrays.
        place : Place
            The row.
        outcome : FileOutcome
            Gets what is found.
        """
        names = {"sr": sr, "np": np, "librosa": librosa}
        values = self._expressions.values_of({"y": y, **names})
        exact = self._expressions.values_of({"y": y.astype(np.float64), **names})
        outcome.n_rows += 1
        for entry in self._spec.features:
            family = outcome.family(entry.feature.family)
            columns = entry.column_names()
            if not columns:
                continue
            call = self._calls[entry.name]
            if call == "none":
                family.notes["without a librosa counterpart"] += len(columns)
                continue
            reason = ""
            try:
                frames = _frames(values, call, entry.feature)
                if (separated := self._separated[entry.name]) != "none":
                    reason = _wrong_medians(values[separated])
            except Exception as error:  # noqa: BLE001 - librosa's limits are not featurelib's
                line = " ".join(str(error).split())[:200]
                reason = f"librosa refuses ({type(error).__name__}: {line})"
            if reason:
                family.notes[f"that {reason}"] += len(columns)
                outcome.refused[entry.name] = reason
                continue
            if entry.feature.is_quantized:
                frames = self._unless_flipped(y, sr, entry, frames, outcome)
            in_float64 = functools.partial(_frames, exact, call, entry.feature)
            before = family.notes[NOT_FINITE]
            _compare_entry(entry, frames, in_float64, row, place, outcome)
            if family.notes[NOT_FINITE] - before < len(columns):
                outcome.compared.add(entry.name)
            else:
                outcome.refused[entry.name] = "librosa's values are not finite"

    def _unless_flipped(
        self,
        y: np.ndarray,
        sr: int,
        entry: featurelib.Entry,
        frames: np.ndarray,
        outcome: FileOutcome,
    ) -> np.ndarray:
        """Count the frames that differ from librosa's; return featurelib's if there are a few."""
        own = _own_frames(y, sr, self._spec, entry)
        if own.shape != frames.shape:
            return frames
        family = outcome.family(entry.feature.family)
        differs = ~(abs(own - frames) <= _tolerance(frames, frames)).all(axis=0)
        family.n_frames += len(differs)
        family.n_flipped += int(differs.sum())
        return own if 0 < differs.mean() <= MAX_FLIPPED else frames


def _separated(call: str) -> str:
    """Return the spectrum that a call separates into components, as an expression; or none."""
    for node in ast.walk(ast.parse(call, mode="eval")):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "librosa.decompose.hpss":
            return ast.unparse(node.args[0])
    return "none"


def _wrong_medians(D: np.ndarray) -> str:
    """Return why librosa's components of a spectrum are wrong; empty if they are right.

    SciPy's median filter reads beyond an axis of two or three values.
    """
    n = D.shape[-1]
    return f"librosa computes wrongly (medians of {n} frames)" if n in (2, 3) else ""


def _frames(values: Values, call: str, feature: featurelib.Feature) -> np.ndarray:
    """Return the values of all frames, shape (width, n_frames), or a single value as a frame."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # librosa warns about short and about toneless signals
        frames = np.asarray(values[call], np.float64)
    return frames.reshape(-1, 1) if feature.is_single else np.atleast_2d(frames)


def _own_frames(
    y: np.ndarray, sr: int, spec: featurelib.FeatureSpec, entry: featurelib.Entry
) -> np.ndarray:
    """Return featurelib's values of all frames, shape (width, n_frames)."""
    row = featurelib.extract_signal_columns(y, sr, _series_spec(spec, entry.name, sr))
    return np.atleast_2d(np.asarray(row[f"{entry.name}_series"][0], np.float64).T)


@functools.lru_cache(maxsize=64)
def _series_spec(spec: featurelib.FeatureSpec, name: str, sr: int) -> featurelib.FeatureSpec:
    """Return a spec that gives the series of an entry, and of those that it reads."""
    by_feature = {entry.feature: entry for entry in spec.features}
    [entry] = [entry for entry in spec.features if entry.name == name]
    chain = [entry]
    while (of := getattr(chain[0].feature, "of", None)) is not None:
        chain.insert(0, by_feature[of])
    features = tuple(
        featurelib.Entry(feature=one.feature, name=one.name, statistics=(_SERIES,)) for one in chain
    )
    return featurelib.FeatureSpec(name=name, features=features, sr=sr)


def _compare_entry(
    entry: featurelib.Entry,
    frames: np.ndarray,
    in_float64: Callable[[], np.ndarray],
    row: Mapping[str, Any],
    place: Place,
    outcome: FileOutcome,
) -> None:
    """Compare the columns of an entry with librosa's frames.

    A value outside of the tolerance is compared again: by less than librosa's own rounding
    errors, which its frames for samples in float64 show, it may differ.
    """
    family = outcome.family(entry.feature.family)
    rounding: dict[str, float] = {}
    for name, (number, statistic) in zip(entry.column_names(), entry.slots(), strict=True):
        value = row[name]
        if statistic == _SERIES:
            deviation = _series_deviation(value, frames, name, place)
            if deviation.share > 1:
                errors = abs(frames - in_float64()) if np.shape(value) else 0.0
                allowed = _series_deviation(value, frames, name, place, _ROUNDINGS * errors)
                if allowed.share <= 1:
                    family.n_values += 1
                    family.notes[WITHIN_ROUNDING] += 1
                    continue
                deviation = allowed
        else:
            x = _population(frames, number)
            expected = _statistic(x, statistic)
            if not np.isfinite(expected):
                family.notes[NOT_FINITE] += 1
                continue
            if statistic in ("skew", "kurtosis") and 0 < x.std() <= _CONSTANT * _rms(x):
                family.notes["of constants up to rounding errors"] += 1
                continue
            tolerance = float(_tolerance(np.asarray(expected), x))
            deviation = Deviation(*place, name, _number(value), expected, tolerance)
            if deviation.share > 1:
                if statistic not in rounding:
                    rounding[statistic] = _rounding(entry, frames, in_float64(), statistic)
                limit = tolerance + _ROUNDINGS * rounding[statistic]
                if abs(deviation.value - expected) <= limit:
                    family.n_values += 1
                    family.notes[WITHIN_ROUNDING] += 1
                    continue
        family.note(deviation)
        if deviation.share > 1:
            outcome.outside.append(deviation)


def _population(frames: np.ndarray, number: int | None) -> np.ndarray:
    return frames.ravel() if number is None else frames[number]


def _rounding(
    entry: featurelib.Entry, frames: np.ndarray, exact: np.ndarray, statistic: str
) -> float:
    """Return the RMS, over the rows of an entry, of the rounding errors of a statistic."""
    rows = {number for number, name in entry.slots() if name == statistic}
    errors = [
        _statistic(_population(frames, number), statistic)
        - _statistic(_population(exact, number), statistic)
        for number in rows
    ]
    return _rms(np.array(errors))


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _series_deviation(
    value: Any, frames: np.ndarray, name: str, place: Place, errors: np.ndarray | float = 0.0
) -> Deviation:
    """Return the deviation of the value of a series that differs most.

    `errors` are added to the tolerance.
    """
    own = np.atleast_2d(np.asarray([] if value is None else value, np.float64).T)
    if own.shape != frames.shape:
        # as if they were values: the numbers of frames
        return Deviation(*place, name, float(own.shape[1]), float(frames.shape[1]), 0.0)
    if not own.size:
        return Deviation(*place, name, 0.0, 0.0, 0.0)
    rms = np.sqrt(np.mean(np.square(frames), axis=1, keepdims=True))
    tolerance = RELATIVE * abs(frames) + OF_RMS * rms + errors
    with np.errstate(divide="ignore", invalid="ignore"):
        share = abs(own - frames) / tolerance
    share = np.where(own == frames, 0.0, np.where(np.isnan(share), np.inf, share))
    at = np.unravel_index(np.argmax(share), share.shape)
    return Deviation(*place, name, float(own[at]), float(frames[at]), float(tolerance[at]))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x)))) if x.size else 0.0


def _tolerance(expected: np.ndarray, frames: np.ndarray) -> np.ndarray:
    return RELATIVE * abs(expected) + OF_RMS * _rms(frames)


def _statistic(x: np.ndarray, name: str) -> float:
    """Return a statistic of all values; 0 where featurelib defines it so."""
    if not name:
        return float(x[0])
    if not x.size:
        return 0.0
    if name in ("skew", "kurtosis"):
        if x.max() == x.min():
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that are nearly equal
            return float(getattr(scipy.stats, name)(x))
    if match := re.fullmatch(r"q(\d+)(?:_(\d+))?", name):
        return float(np.quantile(x, float(f"{match[1]}.{match[2] or 0}") / 100))
    return float(getattr(np, name)(x))


def signals(
    y: np.ndarray, sr: int, spec: featurelib.FeatureSpec
) -> Iterator[tuple[int | None, np.ndarray, int]]:
    """Yield number, samples and rate of each signal that a spec analyses in a file.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n), dtype=float32]
        Decoded samples.
    sr : int
        Their rate [Hz].
    spec : FeatureSpec
        The spec.

    Yields
    ------
    channel : int or None
        Channel of the rows; None if channels have no rows of their own.
    y : np.ndarray [shape=(n,)]
        The signal, at the rate of the analysis.
    sr : int
        The rate of the analysis [Hz].
    """
    target = spec.fixed_sr or sr
    if spec.channels == "each":
        chosen: list[tuple[int | None, np.ndarray]] = list(enumerate(np.atleast_2d(y)))
    elif spec.channels == "first":
        chosen = [(None, np.atleast_2d(y)[0])]
    else:
        chosen = [(None, librosa.to_mono(y))]
    for channel, one in chosen:
        if sr != target:
            one = librosa.resample(one, orig_sr=sr, target_sr=target, res_type="soxr_hq")
        yield channel, np.ascontiguousarray(one), target


def segment_of(y: np.ndarray, sr: int, level: featurelib.Level, number: int) -> np.ndarray:
    """Return the samples of a segment, padded if the level says so."""
    if level.kind == "track":
        return y
    length, hop = level.samples(sr)
    part = y[number * hop : number * hop + length]
    if level.last == "pad" and len(part) < length:
        part = np.concatenate((part, np.zeros(length - len(part), y.dtype)))
    return part
