"""Audio features of one signal: from a file to rows of numbers equal to librosa's.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from featurelib.errors import (
    AudioError,
    DecoderError,
    FeaturelibError,
    ParameterError,
    SpecError,
)

if TYPE_CHECKING:
    from featurelib.audio import check_decoders
    from featurelib.batch import extract_files
    from featurelib.columns import ColumnDescription, describe, feature_names, schema
    from featurelib.differences import spec_differences
    from featurelib.entry import Entry, feature
    from featurelib.extraction import (
        extract,
        extract_columns,
        extract_rows,
        extract_signal,
        extract_signal_columns,
        warm_up,
    )
    from featurelib.extractor import Extractor
    from featurelib.family_table import describe_families
    from featurelib.features import Feature, families
    from featurelib.framewise import extract_frames
    from featurelib.level import Level
    from featurelib.loading import load
    from featurelib.presets import PRESETS, get_spec, spec_from_settings
    from featurelib.rows import RowCollector, Rows, arrow_field, arrow_type
    from featurelib.spec import FeatureSpec
    from featurelib.statistics import STATISTICS

_LAZY = {
    "PRESETS": "presets",
    "STATISTICS": "statistics",
    "ColumnDescription": "columns",
    "Entry": "entry",
    "Extractor": "extractor",
    "Feature": "features",
    "FeatureSpec": "spec",
    "Level": "level",
    "RowCollector": "rows",
    "Rows": "rows",
    "arrow_field": "rows",
    "arrow_type": "rows",
    "check_decoders": "audio",
    "describe": "columns",
    "describe_families": "family_table",
    "extract": "extraction",
    "extract_columns": "extraction",
    "extract_files": "batch",
    "extract_frames": "framewise",
    "extract_rows": "extraction",
    "extract_signal": "extraction",
    "extract_signal_columns": "extraction",
    "families": "features",
    "feature": "entry",
    "feature_names": "columns",
    "get_spec": "presets",
    "load": "loading",
    "schema": "columns",
    "spec_differences": "differences",
    "spec_from_settings": "presets",
    "warm_up": "extraction",
}

__all__ = [
    "PRESETS",
    "STATISTICS",
    "AudioError",
    "ColumnDescription",
    "DecoderError",
    "Entry",
    "Extractor",
    "Feature",
    "FeatureSpec",
    "FeaturelibError",
    "Level",
    "ParameterError",
    "RowCollector",
    "Rows",
    "SpecError",
    "arrow_field",
    "arrow_type",
    "check_decoders",
    "describe",
    "describe_families",
    "extract",
    "extract_columns",
    "extract_files",
    "extract_frames",
    "extract_rows",
    "extract_signal",
    "extract_signal_columns",
    "families",
    "feature",
    "feature_names",
    "get_spec",
    "load",
    "schema",
    "spec_differences",
    "spec_from_settings",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
