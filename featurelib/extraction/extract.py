"""Public functions that extract the features of one audio source or signal."""

from __future__ import annotations

import contextlib
import itertools
import pickle
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from featurelib import audio, kernels, statistics
from featurelib.columns import feature_names, schema
from featurelib.extraction.extractor import Extractor, outputs_of
from featurelib.graph import Analysis
from featurelib.kernels import remembered
from featurelib.kernels.lock import compiling
from featurelib.rows import SIGNAL_COLUMNS, RowCollector, Rows
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.presets import get_spec
from featurelib.transforms import tuning
from featurelib.transforms.frames import BLOCK_FRAMES, Frames

if TYPE_CHECKING:
    import pandas as pd

    from featurelib.audio.sources import Source

Columns = dict[str, list[Any]]


def extract_rows(
    source: Source,
    spec: str | FeatureSpec | None = None,
    *,
    preset: str | None = None,
    tags: Collection[str] = (),
) -> Iterator[Rows]:
    """Compute the rows of one file in the form that is fastest for many files.

    The whole file is analysed before the first rows are yielded.

    Parameters
    ----------
    source, spec, preset
        As for `extract_columns`.
    tags : collection of str
        Names from `featurelib.TAGS`, which become facts of the rows: one line of text or None.

    Returns
    -------
    iterator of Rows
        Rows in order of channel and segment; `RowCollector` joins those of many files.

    Raises
    ------
    AudioError, OSError, SpecError, ParameterError
        As for `extract_columns`.
    """
    return Extractor(spec, preset=preset, tags=tags).file(source)


def extract_columns(
    source: Source,
    spec: str | FeatureSpec | None = None,
    *,
    preset: str | None = None,
    block_samples: int = audio.BLOCK_SAMPLES,
) -> Columns:
    """Compute the rows of one file as a dictionary of columns.

    Parameters
    ----------
    source : str, PathLike, bytes, memoryview or binary file object
        A local path, an fsspec URL (any text with ``://``), the content of a file, or a file
        object. ``bytes`` are content, not a path. Decode a path that is not UTF-8 with
        `os.fsdecode`.
    spec : FeatureSpec or str, optional
        A spec, or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.
    block_samples : int
        Samples that are decoded at once, summed over channels. It does not change values.

    Returns
    -------
    dict of str to list
        Exactly the columns of `schema`, each with one value per row. All numbers are finite.

    Raises
    ------
    AudioError
        If the content cannot be used.
    OSError
        If the source cannot be opened or read.
    SpecError
        If the spec is unknown.
    ParameterError
        If the source has an unknown type.
    """
    extractor = Extractor(spec, preset=preset)
    return _columns(extractor.spec, extractor.file(source, block_samples=block_samples))


def extract(
    source: Source, spec: str | FeatureSpec | None = None, *, preset: str | None = None
) -> pd.DataFrame:
    """Compute the features of one file.

    Parameters
    ----------
    source, spec, preset
        As for `extract_columns`.

    Returns
    -------
    pandas.DataFrame
        One row, or one per channel and segment, with the columns of `schema`.

    Raises
    ------
    AudioError, OSError, SpecError, ParameterError
        As for `extract_columns`.

    Examples
    --------
    >>> import featurelib
    >>> row = featurelib.extract("song.wav", "tutorial-v1")
    >>> row[["duration_s", "sample_rate_hz", "channels"]]
       duration_s  sample_rate_hz  channels
    0         3.0           44100         2
    """
    extractor = Extractor(spec, preset=preset)
    return _frame(extractor.spec, extractor.file(source))


def extract_signal(
    y: np.ndarray,
    sr: int,
    spec: str | FeatureSpec | None = None,
    *,
    preset: str | None = None,
) -> pd.DataFrame:
    """Compute the features of samples in memory.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n)]
        Floating-point samples, nominally within ±1. They are converted to float32.
    sr : int
        Sampling rate of `y` [Hz].
    spec : FeatureSpec or str, optional
        A spec, or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.

    Returns
    -------
    pandas.DataFrame
        One row, or one per channel and segment, with the columns of `schema`. Columns that
        describe a file are null.

    Raises
    ------
    AudioError
        If there are no samples, or some are not finite.
    ParameterError
        If `y` or `sr` is of the wrong type or shape.
    SpecError
        If the spec is unknown.

    Examples
    --------
    >>> import featurelib
    >>> import numpy as np
    >>> y = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    >>> row = featurelib.extract_signal(y, sr=22_050)
    >>> round(float(row["zero_crossing_rate_mean"].iloc[0]), 3)
    0.039
    """
    extractor = Extractor(spec, preset=preset)
    return _frame(extractor.spec, extractor.signal(y, sr))


def extract_signal_columns(
    y: np.ndarray,
    sr: int,
    spec: str | FeatureSpec | None = None,
    *,
    preset: str | None = None,
) -> Columns:
    """Compute the rows of samples in memory as a dictionary of columns.

    For many signals this is faster than `extract_signal`.

    Parameters
    ----------
    y, sr, spec, preset
        As for `extract_signal`.

    Returns
    -------
    dict of str to list
        As for `extract_columns`.

    Raises
    ------
    AudioError, ParameterError, SpecError
        As for `extract_signal`.
    """
    extractor = Extractor(spec, preset=preset)
    return _columns(extractor.spec, extractor.signal(y, sr))


def warm_up(
    spec: str | FeatureSpec | None = None,
    *,
    on_compile: Callable[[int, int], None] | None = None,
) -> None:
    """Compile the kernels and make the tables that a spec needs, by one short run.

    Numba caches compiled kernels on disk for all processes of the machine, so they are compiled
    once. One call at a time compiles, in several processes.

    Parameters
    ----------
    spec : FeatureSpec or str, optional
        A spec, or the name of a preset; ``genre-v1`` by default.
    on_compile : callable, optional
        Receives the number of kernels that are compiled by now, and the number of all that must
        be (0 as long as it is not known), also from other threads.

    Raises
    ------
    SpecError
        If the spec is unknown, or fits none of the usual sampling rates.
    """
    spec = get_spec(spec)
    fact = f"kernels of {spec.fingerprint} and of cutoffs"
    with compiling():
        is_cold = kernels.NAME == "compiled" and not remembered.knows(fact)
        is_kept = is_cold and _compile(spec, on_compile or (lambda done, total: None))
        _warm_up(spec)
        if is_kept:
            remembered.remember(fact)


def _compile(spec: FeatureSpec, on_compile: Callable[[int, int], None]) -> bool:
    """Compile what is not on disk; return whether kernels can be kept on disk."""
    from featurelib.kernels import ahead, cache

    on_compile(0, 0)
    if not cache.KERNELS:
        return False
    # without these processes, the first call of each kernel compiles it in this one
    with contextlib.suppress(OSError, EOFError, pickle.PicklingError, AttributeError, TypeError):
        ahead.compile_ahead(_warm_up, spec, on_compile)
    return True


def _warm_up(spec: FeatureSpec) -> None:
    sr = spec.nominal_sr
    outputs = outputs_of(spec, sr)
    analysis = Analysis(outputs.plan)
    # Enough for one full block of frames and a partial one.
    n = max(
        (
            node.n_fft + (BLOCK_FRAMES + 2) * node.hop_length
            for node in outputs.plan.nodes
            if isinstance(node, Frames)
        ),
        default=sr,
    )
    y = np.random.default_rng(0).uniform(-0.5, 0.5, n)  # noise has peaks at all frequencies
    analysis.push(y.astype(np.float32))
    analysis.finish()
    statistics.warm_up()
    tuning.warm_up()
    audio.cutoff.warm_up()
    outputs.statistics.row(analysis.operators)


def _columns(spec: FeatureSpec, chunks: Iterable[Rows]) -> Columns:
    names = feature_names(spec)
    parts: list[Columns] = []
    for rows in chunks:
        assert rows.values is not None
        n, facts = rows.n, rows.facts
        columns: Columns = {name: [facts.get(name)] * n for name in SIGNAL_COLUMNS}
        if n == 1:  # the usual case; faster for short files
            columns.update(rows.columns)
            columns |= {
                name: [value] for name, value in zip(names, rows.values[0].tolist(), strict=True)
            }
            parts.append(columns)
            continue
        for name, values in rows.columns.items():
            columns[name] = values.tolist() if isinstance(values, np.ndarray) else values
        columns.update(zip(names, rows.values.T.tolist(), strict=True))
        parts.append(columns)
    if len(parts) == 1 and len(parts[0]) == len(SIGNAL_COLUMNS) + len(names):
        return parts[0]  # without series the columns are in order
    return {
        name: list(itertools.chain.from_iterable(part[name] for part in parts))
        for name in schema(spec).names
    }


def _frame(spec: FeatureSpec, chunks: Iterable[Rows]) -> pd.DataFrame:
    collector = RowCollector(schema(spec), feature_names(spec))
    for rows in chunks:
        collector.add(rows)
    return collector.table().to_pandas()
