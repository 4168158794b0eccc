"""Columns of a spec: names, types, units and definitions, as a list and as an Arrow schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from featurelib.features.base import Feature
from featurelib.graph import Signal, samples_of
from featurelib.rows import arrow_field
from featurelib.specs.entry import Entry
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.presets import get_spec
from featurelib.statistics import SERIES, meaning

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ColumnDescription:
    """Description of one column.

    Attributes
    ----------
    name : str
        Name in the table.
    type : str
        Arrow type, such as ``"float"`` or ``"int32"``.
    unit : str
        Unit; ``"1"`` for a pure number, ``""`` if a unit makes no sense.
    definition : str
        Definition of the value.
    librosa : str
        librosa call that gives the same value, or ``"none"``.
    """

    name: str
    type: str
    unit: str
    definition: str
    librosa: str


def describe(
    spec: str | FeatureSpec | None = None, *, preset: str | None = None
) -> list[ColumnDescription]:
    """Describe the columns of a spec, in table order.

    Columns of the table that do not depend on the signal, such as the path, are not included.

    Parameters
    ----------
    spec : FeatureSpec or str, optional
        A spec, or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.

    Returns
    -------
    list of ColumnDescription

    Raises
    ------
    SpecError
        If no preset has the name, or both arguments are given.

    Examples
    --------
    >>> import featurelib
    >>> columns = {column.name: column for column in featurelib.describe("genre-v1")}
    >>> columns["spectral_centroid_mean"].unit
    'Hz'
    >>> columns["rms_mean"].librosa
    'mean of librosa.feature.rms(y=y, frame_length=2048, hop_length=512)[0]'
    """
    spec = get_spec(spec, preset=preset)
    return [*_signal_columns(spec), *_feature_columns(spec)]


def schema(spec: str | FeatureSpec | None = None, *, preset: str | None = None) -> pa.Schema:
    """Return the Arrow schema of the columns that `describe` lists.

    Parameters
    ----------
    spec, preset
        As for `describe`.

    Returns
    -------
    pyarrow.Schema
        The metadata of each field has ``unit``, ``description`` and ``librosa``.

    Raises
    ------
    SpecError
        As for `describe`.
    """
    import pyarrow as pa

    spec = get_spec(spec, preset=preset)
    kept: dict[str, pa.Schema] = spec.__dict__.setdefault("_kept", {})
    if "schema" not in kept:  # building it takes a large part of a short file's time
        kept["schema"] = pa.schema(arrow_field(**asdict(column)) for column in describe(spec))
    return kept["schema"]


def feature_names(spec: str | FeatureSpec | None = None, *, preset: str | None = None) -> list[str]:
    """Return the names of the feature columns with one number per row, in table order.

    Columns of series are left out.

    Parameters
    ----------
    spec, preset
        As for `describe`.

    Returns
    -------
    list of str

    Raises
    ------
    SpecError
        As for `describe`.

    Examples
    --------
    >>> import featurelib
    >>> featurelib.feature_names("genre-v1")[:2]
    ['rms_mean', 'rms_std']
    """
    spec = get_spec(spec, preset=preset)
    kept: dict[str, list[str]] = spec.__dict__.setdefault("_kept", {})
    if "names" not in kept:
        kept["names"] = [
            name
            for entry in spec.features
            for name, (_, statistic) in zip(entry.column_names(), entry.slots(), strict=True)
            if statistic != SERIES
        ]
    return list(kept["names"])


def librosa_call(feature: Feature, sr: int | None) -> str:
    """Return the librosa call that gives the same values of all frames, or ``"none"``.

    Parameters
    ----------
    feature : Feature
        The feature.
    sr : int or None
        Sampling rate of the analysis [Hz]; None if each file is analysed at its own rate.

    Returns
    -------
    str
        A Python expression of the signal ``y``, its rate ``sr``, ``np`` and ``librosa``. Its
        value has the shape (width, n_frames). It is a number for features with a single value,
        and has the shape (n,) for ``waveform``.
    """
    call = feature.librosa(sr)
    for samples in samples_of(feature) - {Signal()}:
        if call != "none":
            call = f"(lambda y: {call})({samples.librosa()})"
    return call


def _signal_columns(spec: FeatureSpec) -> Iterator[ColumnDescription]:
    first = "" if spec.duration is None else f", of the first {spec.duration:g} s"
    if spec.offset:
        first += f"{' ' if first else ', '}after {spec.offset:g} s"
    rows = (
        (
            "channel",
            "int32",
            "",
            "channel of the row, from 0; null if channels have no separate rows",
            "none",
        ),
        ("segment", "int32", "", "number of the row's segment within its file, from 0", "none"),
        ("start_s", "double", "s", "where the row's segment starts in the file", "none"),
        ("end_s", "double", "s", "where the row's segment ends in the file", "none"),
        (
            "duration_s",
            "double",
            "s",
            f"length of the decoded signal that was analysed{first}",
            "none",
        ),
        (
            "header_duration_s",
            "double",
            "s",
            "duration that the file's header claims; null if absent or impossible",
            "librosa.get_duration(path=path)",
        ),
        (
            "sample_rate_hz",
            "int32",
            "Hz",
            "sampling rate of the file",
            "librosa.get_samplerate(path)",
        ),
        ("channels", "int32", "1", "number of channels in the file", "none"),
        ("format", "string", "", "container format, by the decoder's names", "none"),
        ("subtype", "string", "", "encoding of the samples, by the decoder's names", "none"),
        ("decoder", "string", "", "decoders of the file: libsndfile, dr_flac, ffmpeg", "none"),
        (
            "decoding",
            "string",
            "",
            (
                f"what was decoded{first}: whole; damaged: something before the last good frame"
                " was skipped; cut: it ends early, or the rest could not be read"
            ),
            "none",
        ),
        (
            "lost_s",
            "double",
            "s",
            "sum of the gaps between decoded packets; null if unknown",
            "none",
        ),
        (
            "n_streams",
            "int32",
            "1",
            "number of streams, one after the other; rate and channels are the first one's",
            "none",
        ),
        ("n_frames", "int64", "1", "number of frames, of the first feature with frames", "none"),
        ("peak", "float", "1", "largest |x| of the decoded samples, before mixing down", "none"),
        (
            "mix_peak",
            "float",
            "1",
            "largest |x| after mixing down; far below the peak where channels cancel out",
            "none",
        ),
        (
            "clipped_fraction",
            "float",
            "1",
            "share of the decoded samples with |x| of at least 1 - 2^-15, before mixing down",
            "none",
        ),
        ("is_silent", "bool", "", "whether the peak is below -80 dBFS (1e-4)", "none"),
        (
            "cutoff_hz",
            "double",
            "Hz",
            (
                "frequency at which the spectrum of the file breaks off, by 25 dB or more, with"
                " nothing above (-70 dB of its strongest bin); null if there is none: content up to"
                " the Nyquist frequency, a gradual decay, noise, silence, less than 1024 samples"
            ),
            "none",
        ),
        (
            "audio_hash",
            "string",
            "",
            "XXH3-128 of rate, channels and decoded samples: equal for copies with other tags",
            "none",
        ),
    )
    for row in rows:
        yield ColumnDescription(*row)


def _feature_columns(spec: FeatureSpec) -> Iterator[ColumnDescription]:
    for entry in spec.features:
        for name, slot in zip(entry.column_names(), entry.slots(), strict=True):
            yield _feature_column(spec, entry, name, *slot)


def _feature_column(
    spec: FeatureSpec, entry: Entry, name: str, row: int | None, statistic: str
) -> ColumnDescription:
    feature, sr = entry.feature, spec.fixed_sr
    definition, call = feature.definition(row, sr), librosa_call(feature, sr)
    for samples in samples_of(feature) - {Signal()}:
        definition = f"{definition}; of {samples.definition()}"
    kind, unit = "float", _unit(feature.unit_of(row), statistic)
    if statistic == SERIES:
        kind = f"list<float[{feature.width}]>" if feature.has_rows else "list<float>"
        definition = f"{meaning(SERIES)} of: {definition}"
        take = ".T" if feature.has_rows else "" if feature.is_always_pooled else "[0]"
        call = call if call == "none" else f"{call}{take}"
    elif statistic:
        over = feature.population if entry.pooled else "frames"
        definition = f"{meaning(statistic)} over {over} of: {definition}"
        take = "" if entry.pooled else f"[{row or 0}]"
        call = call if call == "none" else f"{statistic} of {call}{take}"
    return ColumnDescription(name, kind, unit, definition, call)


def _unit(unit: str, statistic: str) -> str:
    if statistic in ("skew", "kurtosis") or unit == "1":
        return "1"
    return f"({unit})²" if statistic == "var" else unit
