"""The front door: one audio source → its row of features."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from featurelib import audio
from featurelib.analysis import BLOCK_FRAMES, Analysis
from featurelib.columns import SIGNAL_COLUMNS, feature_names, schema
from featurelib.errors import AudioError, ParameterError
from featurelib.kernels import forget_compiled_of_others
from featurelib.presets import get_spec
from featurelib.rows import Rows
from featurelib.spec import SR_LIMITS, FeatureSpec

if TYPE_CHECKING:
    import pandas as pd

    from featurelib.audio.sources import Source

Columns = dict[str, list[Any]]


def extract_columns(
    source: Source,
    spec: str | FeatureSpec = "genre-v1",
    *,
    block_samples: int = audio.BLOCK_SAMPLES,
    block_frames: int = BLOCK_FRAMES,
) -> Columns:
    """Compute one file's rows, as columns: the way for many files.

    Parameters
    ----------
    source : str, PathLike, bytes, memoryview or binary file object
        A local path, an fsspec URL (anything with ``://``), the bytes of a file, or a
        file object. ``bytes`` are content; a path that is not UTF-8 goes in as
        `os.fsdecode` gives it.
    spec : FeatureSpec or str
        What to compute, or a preset's name.
    block_samples, block_frames : int
        How much is decoded and transformed at once; they change no value.

    Returns
    -------
    dict of str to list
        Exactly the columns of `schema`, each a list of one value a row; all numbers are
        finite.

    Raises
    ------
    AudioError
        If the content cannot be used.
    OSError
        If the source cannot be opened or read.
    SpecError, ParameterError
        If the spec is unknown, or the source of no known kind.
    """
    spec = get_spec(spec)
    with audio.open_audio(source, spec.duration) as file:
        while True:
            try:
                columns = _columns(spec, file.blocks(block_samples), block_frames)
            except audio.MoreAudioError:
                continue
            for name, value in file.facts()._asdict().items():
                columns[name] = [value]
            return columns


def extract_rows(source: Source, spec: str | FeatureSpec = "genre-v1") -> Iterator[Rows]:
    """Compute one file's rows: the way for many files.

    Nothing is given before the whole file was analysed.

    Parameters
    ----------
    source, spec
        As of `extract_columns`.

    Raises
    ------
    AudioError, OSError, SpecError, ParameterError
        As of `extract_columns`.
    """
    yield Rows(1, {}, extract_columns(source, spec))


def extract(source: Source, spec: str | FeatureSpec = "genre-v1") -> pd.DataFrame:
    """Compute one file's row of features.

    Parameters
    ----------
    source, spec
        As of `extract_columns`.

    Returns
    -------
    pandas.DataFrame
        One row with the columns of `schema`.

    Raises
    ------
    AudioError, OSError, SpecError, ParameterError
        As of `extract_columns`.
    """
    spec = get_spec(spec)
    return _frame(extract_columns(source, spec), spec)


def extract_signal(y: np.ndarray, sr: int, spec: str | FeatureSpec = "genre-v1") -> pd.DataFrame:
    """Compute the row of features of samples in memory.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n)]
        Floating-point samples, nominally within ±1; computed with as float32.
    sr : int
        Their sampling rate [Hz].
    spec : FeatureSpec or str
        What to compute, or a preset's name.

    Returns
    -------
    pandas.DataFrame
        One row with the columns of `schema`; those of the file itself are null.

    Raises
    ------
    AudioError
        If there are no samples, or some are not finite.
    ParameterError
        If `y` or `sr` is of the wrong type or shape.
    SpecError
        If the spec is unknown.
    """
    spec = get_spec(spec)
    return _frame(extract_signal_columns(y, sr, spec), spec)


def extract_signal_columns(y: np.ndarray, sr: int, spec: str | FeatureSpec = "genre-v1") -> Columns:
    """Compute the rows of samples in memory, as columns: the way for many signals.

    Parameters
    ----------
    y, sr, spec
        As of `extract_signal`.

    Returns
    -------
    dict of str to list
        As of `extract_columns`.

    Raises
    ------
    AudioError, ParameterError, SpecError
        As of `extract_signal`.
    """
    spec = get_spec(spec)
    samples = _checked(y)
    low, high = SR_LIMITS
    if isinstance(sr, bool) or not isinstance(sr, int | float | np.number) or sr % 1 != 0:
        raise ParameterError(f"sr={sr!r} is not a whole number of Hz")
    if not low <= sr <= high:
        raise ParameterError(f"sr={sr!r} must lie between {low} and {high} Hz")
    if spec.duration is not None:
        samples = samples[:, : int(spec.duration * sr)]
    blocks = ((int(sr), block) for block in _slices(samples))
    return _columns(spec, blocks, BLOCK_FRAMES)


def warm_up(spec: str | FeatureSpec = "genre-v1", *, version: str | None = None) -> None:
    """Compile the kernels and make the tables that a spec needs, by one short run.

    Numba keeps what it compiled on disk, for all processes of the machine.

    Parameters
    ----------
    spec : FeatureSpec or str
        The spec, or a preset's name.
    version : str, optional
        Of the code. What is kept of kernels of another one is compiled again.

    Raises
    ------
    SpecError
        If the spec is unknown.
    """
    if version is not None:
        forget_compiled_of_others(version)
    spec = dataclasses.replace(get_spec(spec), duration=None)
    # More than one block of frames, and a part of one.
    n = spec.n_fft + (BLOCK_FRAMES + 2) * spec.hop_length
    y = np.random.default_rng(0).uniform(-0.5, 0.5, n)  # with peaks everywhere
    extract_signal_columns(y, spec.sr, spec)


def _columns(
    spec: FeatureSpec, blocks: Iterable[tuple[int, np.ndarray]], block_frames: int
) -> Columns:
    """Run blocks of shape (n, channels), each with its rate, through everything."""
    meter = audio.SignalMeter()
    resampler = audio.JoiningResampler(spec.sr)
    analysis = Analysis(spec, block_frames=block_frames)
    for sr, block in blocks:
        mix = audio.mix_down(block)
        meter.add(block, sr, mix)
        analysis.push(resampler.push(mix, sr))
    facts = meter.facts()
    analysis.push(resampler.finish())
    n_frames, values = analysis.finish()
    if not all(map(math.isfinite, values)):
        raise AudioError("not_finite", "samples whose features are not finite")
    columns: Columns = {name: [None] for name in SIGNAL_COLUMNS}
    columns["segment"], columns["n_frames"] = [0], [n_frames]
    columns["start_s"], columns["end_s"] = [0.0], [facts.duration_s]
    for name, fact in facts._asdict().items():
        columns[name] = [fact]
    for name, value in zip(feature_names(spec), values, strict=True):
        columns[name] = [value]
    return columns


def _checked(y: Any) -> np.ndarray:
    """`y` as float32 of shape (channels, n)."""
    if not isinstance(y, np.ndarray) or not np.issubdtype(y.dtype, np.floating):
        kind = y.dtype if isinstance(y, np.ndarray) else type(y).__name__
        raise ParameterError(f"y must be an array of floating-point samples, not {kind}")
    if y.ndim not in (1, 2):
        raise ParameterError(f"y.shape={y.shape} is neither (n,) nor (channels, n)")
    if y.ndim == 2 and y.shape[0] > y.shape[1] > 0:
        raise ParameterError(
            f"y.shape={y.shape} has more channels than samples: give (channels, n), as y.T is"
        )
    if y.ndim == 2 and len(y) == 0:
        raise AudioError("empty", "no channels")
    if y.dtype != np.float32:
        with np.errstate(over="ignore"):  # what overflows is found as not finite
            y = y.astype(np.float32)
    return np.atleast_2d(y)


def _slices(samples: np.ndarray) -> Iterator[np.ndarray]:
    step = max(audio.BLOCK_SAMPLES // len(samples), 1)
    for start in range(0, samples.shape[1], step):
        yield samples[:, start : start + step].T  # in this order they are mixed as by librosa


def _frame(columns: Columns, spec: FeatureSpec) -> pd.DataFrame:
    import pyarrow as pa

    return pa.table(columns, schema=schema(spec)).to_pandas()
