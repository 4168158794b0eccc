"""Audio features of one signal: from a file to a row of numbers equal to librosa's.

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
from featurelib.presets import PRESETS, get_spec, spec_from_settings
from featurelib.spec import VALUES_VERSION, FeatureSpec, spec_differences

if TYPE_CHECKING:
    from featurelib.audio import check_decoders
    from featurelib.columns import ColumnDescription, describe, feature_names, schema
    from featurelib.extraction import (
        extract,
        extract_columns,
        extract_rows,
        extract_signal,
        extract_signal_columns,
        warm_up,
    )
    from featurelib.rows import RowCollector, Rows

_LAZY = {
    "RowCollector": "featurelib.rows",
    "Rows": "featurelib.rows",
    "ColumnDescription": "featurelib.columns",
    "check_decoders": "featurelib.audio",
    "describe": "featurelib.columns",
    "extract": "featurelib.extraction",
    "extract_columns": "featurelib.extraction",
    "extract_rows": "featurelib.extraction",
    "extract_signal": "featurelib.extraction",
    "extract_signal_columns": "featurelib.extraction",
    "feature_names": "featurelib.columns",
    "schema": "featurelib.columns",
    "warm_up": "featurelib.extraction",
}

__all__ = [
    "PRESETS",
    "VALUES_VERSION",
    "AudioError",
    "ColumnDescription",
    "DecoderError",
    "FeatureSpec",
    "FeaturelibError",
    "ParameterError",
    "RowCollector",
    "Rows",
    "SpecError",
    "check_decoders",
    "describe",
    "extract",
    "extract_columns",
    "extract_rows",
    "extract_signal",
    "extract_signal_columns",
    "feature_names",
    "get_spec",
    "schema",
    "spec_differences",
    "spec_from_settings",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
