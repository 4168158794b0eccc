"""The front door: one audio source → its rows of features."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from featurelib import audio, statistics
from featurelib.columns import feature_names, schema
from featurelib.extraction.extractor import Extractor, outputs_of
from featurelib.graph import Analysis
from featurelib.kernels import forget_compiled_of_others
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
    source: Source, spec: str | FeatureSpec | None = None, *, preset: str | None = None
) -> Iterator[Rows]:
    """Compute one file's rows: the way for many files.

    Nothing is given before the whole file was analysed.

    Parameters
    ----------
    source, spec, preset
        As of `extract_columns`.

    Raises
    ------
    AudioError, OSError, SpecError, ParameterError
        As of `extract_columns`.
    """
    return Extractor(spec, preset=preset).file(source)


def extract_columns(
    source: Source,
    spec: str | FeatureSpec | None = None,
    *,
    preset: str | None = None,
    block_samples: int = audio.BLOCK_SAMPLES,
) -> Columns:
    """Compute one file's rows, as columns.

    Parameters
    ----------
    source : str, PathLike, bytes, memoryview or binary file object
        A local path, an fsspec URL (anything with ``://``), the bytes of a file, or a
        file object. ``bytes`` are content; a path that is not UTF-8 goes in as
        `os.fsdecode` gives it.
    spec : FeatureSpec or str, optional
        What to compute, or a preset's name; ``genre-v1`` by default.
    preset : str, optional
        A preset's name, in place of `spec`.
    block_samples : int
        How much is decoded at once; it changes no value.

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
    extractor = Extractor(spec, preset=preset)
    return _columns(extractor.spec, extractor.file(source, block_samples=block_samples))


def extract(
    source: Source, spec: str | FeatureSpec | None = None, *, preset: str | None = None
) -> pd.DataFrame:
    """Compute one file's rows of features.

    Parameters
    ----------
    source, spec, preset
        As of `extract_columns`.

    Returns
    -------
    pandas.DataFrame
        One row, or one for each channel and segment, with the columns of `schema`.

    Raises
    ------
    AudioError, OSError, SpecError, ParameterError
        As of `extract_columns`.

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
    """Compute the rows of features of samples in memory.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n)]
        Floating-point samples, nominally within ±1; computed with as float32.
    sr : int
        Their sampling rate [Hz].
    spec : FeatureSpec or str, optional
        What to compute, or a preset's name; ``genre-v1`` by default.
    preset : str, optional
        A preset's name, in place of `spec`.

    Returns
    -------
    pandas.DataFrame
        One row, or one for each channel and segment, with the columns of `schema`; those
        of the file itself are null.

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
    """Compute the rows of samples in memory, as columns: the way for many signals.

    Parameters
    ----------
    y, sr, spec, preset
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
    extractor = Extractor(spec, preset=preset)
    return _columns(extractor.spec, extractor.signal(y, sr))


def warm_up(spec: str | FeatureSpec | None = None, *, version: str | None = None) -> None:
    """Compile the kernels and make the tables that a spec needs, by one short run.

    Numba keeps what it compiled on disk, for all processes of the machine.

    Parameters
    ----------
    spec : FeatureSpec or str, optional
        The spec, or a preset's name.
    version : str, optional
        Of the code. What is kept of kernels of another one is compiled again.

    Raises
    ------
    SpecError
        If the spec is unknown, or fits no usual rate of files.
    """
    if version is not None:
        forget_compiled_of_others(version)
    spec = get_spec(spec)
    sr = spec.nominal_sr
    outputs = outputs_of(spec, sr)
    analysis = Analysis(outputs.plan)
    frames = [outputs.plan.nodes[i] for i in outputs.frames]
    # More than one block of frames, and a part of one.
    n = max(
        node.n_fft + (BLOCK_FRAMES + 2) * node.hop_length
        for node in frames
        if isinstance(node, Frames)
    )
    y = np.random.default_rng(0).uniform(-0.5, 0.5, n)  # with peaks everywhere
    analysis.push(y.astype(np.float32))
    analysis.finish()
    statistics.warm_up()
    tuning.warm_up()
    for _, _, scalars in outputs.values:
        for i, name in scalars:
            analysis.operators[i].statistic(name)


def _columns(spec: FeatureSpec, chunks: Iterable[Rows]) -> Columns:
    names = feature_names(spec)
    parts: list[Columns] = []
    for rows in chunks:
        assert rows.values is not None
        n, facts = rows.n, rows.facts
        columns: Columns = {name: [facts.get(name)] * n for name in SIGNAL_COLUMNS}
        if n == 1:  # a short way for short files
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
        return parts[0]  # without series the order is right
    return {
        name: list(itertools.chain.from_iterable(part[name] for part in parts))
        for name in schema(spec).names
    }


def _frame(spec: FeatureSpec, chunks: Iterable[Rows]) -> pd.DataFrame:

    collector = RowCollector(schema(spec), feature_names(spec))
    for rows in chunks:
        collector.add(rows)
    return collector.table().to_pandas()
