"""A spec's columns: names, types, units and definitions, as one list and as Arrow schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from featurelib.descriptors import DESCRIPTORS
from featurelib.presets import get_spec
from featurelib.spec import CELL_FAMILIES, MATRIX_FAMILIES, FeatureSpec

if TYPE_CHECKING:
    import pyarrow as pa

#: Names that the tutorial gives to families, where they differ from librosa's.
_TUTORIAL_NAMES = {"rms": "rmse", "spectral_rolloff": "rolloff"}

#: Columns that tell of the signal, in table order, before those of the features. What
#: concerns a file is null for samples in memory.
SIGNAL_COLUMNS = (
    *("channel", "segment", "start_s", "end_s"),
    *("duration_s", "header_duration_s", "sample_rate_hz", "channels"),
    *("format", "subtype", "decoder", "decoding", "lost_s", "n_streams"),
    *("n_frames", "peak", "mix_peak", "clipped_fraction", "is_silent", "audio_hash"),
)

_STATISTICS = {
    "mean": "mean",
    "std": "population standard deviation",
    "var": "population variance",
    "min": "minimum",
    "max": "maximum",
    "skew": "biased skewness (0 for a constant)",
    "kurtosis": "biased excess kurtosis (0 for a constant)",
}


@dataclass(frozen=True)
class ColumnDescription:
    """What one column holds.

    Attributes
    ----------
    name : str
        Name in the table.
    type : str
        Arrow type, such as ``"float"`` or ``"int32"``.
    unit : str
        Unit, ``"1"`` for a pure number, ``""`` where there is none to speak of.
    definition : str
        What the value is.
    librosa : str
        What gives the same value with librosa, or ``"none"``.
    """

    name: str
    type: str
    unit: str
    definition: str
    librosa: str


def describe(spec: str | FeatureSpec) -> list[ColumnDescription]:
    """Describe the columns that one file's rows get from its signal, in table order."""
    spec = get_spec(spec)
    return [*_signal_columns(spec), *_feature_columns(spec)]


def schema(spec: str | FeatureSpec) -> pa.Schema:
    """Arrow schema of `describe`'s columns.

    Each field's metadata has ``unit``, ``description`` and ``librosa``.
    """
    import pyarrow as pa

    types = {
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
    }
    return pa.schema(
        pa.field(
            column.name,
            types[column.type],
            metadata={
                "unit": column.unit,
                "description": column.definition,
                "librosa": column.librosa,
            },
        )
        for column in describe(spec)
    )


def feature_names(spec: str | FeatureSpec) -> list[str]:
    """Names of the feature columns, in table order: those of `describe` after the signal's."""
    return list(_feature_names(get_spec(spec)))


@lru_cache(maxsize=32)
def _feature_names(spec: FeatureSpec) -> tuple[str, ...]:
    # Kept, as it would take a good part of a short file's time.
    return tuple(column.name for column in _feature_columns(spec))


def _signal_columns(spec: FeatureSpec) -> Iterator[ColumnDescription]:
    first = "" if spec.duration is None else f", of the first {spec.duration:g} s"
    rows = (
        (
            "channel",
            "int32",
            "",
            "channel that the row is of, from 0; null where all are one row",
            "none",
        ),
        ("segment", "int32", "", "number of the row's segment within its file, from 0", "none"),
        ("start_s", "double", "s", "where the row's segment starts in what was analysed", "none"),
        ("end_s", "double", "s", "where the row's segment ends in what was analysed", "none"),
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
            "length that the file's header claims; null where it says none or an impossible one",
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
        ("decoder", "string", "", "what decoded it: libsndfile, ffmpeg, or both", "none"),
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
            "gaps between decoded packets; null where that cannot be known",
            "none",
        ),
        (
            "n_streams",
            "int32",
            "1",
            "number of streams, one after the other; rate and channels are the first one's",
            "none",
        ),
        ("n_frames", "int64", "1", "number of frames of the short-time Fourier transform", "none"),
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
    for family, statistics in spec.features:
        descriptor = DESCRIPTORS[family]
        pooled = family in CELL_FAMILIES or family in spec.pooled
        rows = [None] if pooled else range(descriptor.n_rows(spec))
        for row in rows:
            definition = descriptor.definition(spec, row)
            for statistic in statistics:
                over = "all frames and rows" if pooled else "frames"
                take = "" if pooled else f"[{row}]"
                call = descriptor.librosa(spec)
                yield ColumnDescription(
                    name=_name(spec, family, row, statistic),
                    type="float",
                    unit=_unit(descriptor.unit, statistic),
                    definition=f"{_STATISTICS[statistic]} over {over} of: {definition}",
                    librosa=call if call == "none" else f"{statistic} of {call}{take}",
                )


def _name(spec: FeatureSpec, family: str, row: int | None, statistic: str) -> str:
    numbered = row is not None and family in MATRIX_FAMILIES
    if spec.naming == "tutorial":
        name = _TUTORIAL_NAMES.get(family, family)
        return f"{name}{row + 1}" if numbered and row is not None else name
    suffix = f"_{row + 1:02d}" if numbered and row is not None else ""
    return f"{family}{suffix}_{statistic}"


def _unit(unit: str, statistic: str) -> str:
    if statistic in ("skew", "kurtosis") or unit == "1":
        return "1"
    return f"({unit})²" if statistic == "var" else unit
