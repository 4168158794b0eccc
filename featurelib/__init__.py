"""Audio features of files and signals, equal to librosa's.

Submodules are imported at first use, so that importing the package is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from featurelib.errors import (
    AudioError,
    DecoderError,
    FeaturelibError,
    MissingExtraError,
    ParameterError,
    SpecError,
)

if TYPE_CHECKING:
    from featurelib import plot
    from featurelib.audio import TAGS, check_decoders, ffmpeg_version
    from featurelib.columns import (
        ColumnDescription,
        describe,
        feature_names,
        librosa_call,
        schema,
    )
    from featurelib.extraction.batch import extract_files
    from featurelib.extraction.extract import (
        extract,
        extract_columns,
        extract_rows,
        extract_signal,
        extract_signal_columns,
        warm_up,
    )
    from featurelib.extraction.extractor import Extractor
    from featurelib.extraction.framewise import extract_frames
    from featurelib.extraction.loading import load
    from featurelib.features import Feature, families
    from featurelib.raster import Raster
    from featurelib.rows import SIGNAL_COLUMNS, RowCollector, Rows, arrow_field, arrow_type
    from featurelib.specs.differences import spec_differences
    from featurelib.specs.entry import Entry, feature
    from featurelib.specs.family_table import describe_families
    from featurelib.specs.feature_spec import FeatureSpec
    from featurelib.specs.level import Level
    from featurelib.specs.presets import PRESETS, get_spec, preset_description, spec_from_settings
    from featurelib.specs.reuse import Reuse, reuse
    from featurelib.statistics import STATISTICS
    from jobs.models.loading import load_table

#: The one module of the package `jobs` that has a public name here: it reads the tables of `jobs`.
_OF_TABLES = "jobs.models.loading"

_LAZY = {
    "PRESETS": "specs.presets",
    "STATISTICS": "statistics",
    "TAGS": "audio",
    "ColumnDescription": "columns",
    "Entry": "specs.entry",
    "Extractor": "extraction.extractor",
    "Feature": "features",
    "FeatureSpec": "specs.feature_spec",
    "Level": "specs.level",
    "Raster": "raster",
    "SIGNAL_COLUMNS": "rows",
    "Reuse": "specs.reuse",
    "RowCollector": "rows",
    "Rows": "rows",
    "arrow_field": "rows",
    "arrow_type": "rows",
    "check_decoders": "audio",
    "describe": "columns",
    "describe_families": "specs.family_table",
    "extract": "extraction.extract",
    "extract_columns": "extraction.extract",
    "extract_files": "extraction.batch",
    "extract_frames": "extraction.framewise",
    "extract_rows": "extraction.extract",
    "extract_signal": "extraction.extract",
    "extract_signal_columns": "extraction.extract",
    "families": "features",
    "feature": "specs.entry",
    "feature_names": "columns",
    "ffmpeg_version": "audio",
    "get_spec": "specs.presets",
    "librosa_call": "columns",
    "load": "extraction.loading",
    "load_table": _OF_TABLES,
    "plot": "plot",
    "preset_description": "specs.presets",
    "reuse": "specs.reuse",
    "schema": "columns",
    "spec_differences": "specs.differences",
    "spec_from_settings": "specs.presets",
    "warm_up": "extraction.extract",
}

__all__ = [
    "PRESETS",
    "SIGNAL_COLUMNS",
    "STATISTICS",
    "TAGS",
    "AudioError",
    "ColumnDescription",
    "DecoderError",
    "Entry",
    "Extractor",
    "Feature",
    "FeatureSpec",
    "FeaturelibError",
    "Level",
    "MissingExtraError",
    "ParameterError",
    "Raster",
    "Reuse",
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
    "ffmpeg_version",
    "get_spec",
    "librosa_call",
    "load",
    "load_table",
    "plot",
    "preset_description",
    "reuse",
    "schema",
    "spec_differences",
    "spec_from_settings",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _LAZY[name]
    module = import_module(home if home == _OF_TABLES else f"{__name__}.{home}")
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
