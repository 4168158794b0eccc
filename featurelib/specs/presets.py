"""Named specs. A preset's values never change under its name: a new version is a new name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from featurelib.errors import SpecError
from featurelib.parameters import did_you_mean
from featurelib.specs.feature_spec import FeatureSpec

#: The spec that is taken where none is named.
DEFAULT = "genre-v1"

_TUTORIAL = {"statistics": ["mean"], "columns": "{name}{row}"}

#: The presets, as a TOML file would have them.
_TABLES: tuple[dict[str, Any], ...] = (
    {
        "name": "genre-v1",
        "features": [
            "rms",
            "zero_crossing_rate",
            "spectral_centroid",
            "spectral_bandwidth",
            "spectral_rolloff",
            "spectral_flatness",
            "spectral_flux",
            "spectral_contrast",
            "mfcc",
            "chroma_stft",
            {"family": "stft", "statistics": ["mean", "std", "max", "skew"]},
            "stft_db",
        ],
    },
    {
        "name": "tutorial-v1",
        "duration": 30.0,
        "defaults": _TUTORIAL,
        "features": [
            {"family": "chroma_stft", "pooled": True},
            {"family": "rms", "as": "rmse"},
            "spectral_centroid",
            "spectral_bandwidth",
            {"family": "spectral_rolloff", "as": "rolloff"},
            "zero_crossing_rate",
            "mfcc",
        ],
    },
)

_BY_NAME = {table["name"]: table for table in _TABLES}

#: The named specs.
PRESETS: Mapping[str, FeatureSpec] = MappingProxyType(
    {name: FeatureSpec.from_dict(table) for name, table in _BY_NAME.items()}
)


def get_spec(spec: str | FeatureSpec | None = None, *, preset: str | None = None) -> FeatureSpec:
    """Return the spec of that name, or `spec` itself if it is one already.

    Parameters
    ----------
    spec : str or FeatureSpec, optional
        A preset's name, or a spec; without either, `DEFAULT`.
    preset : str, optional
        A preset's name, in place of `spec`.

    Raises
    ------
    SpecError
        If no preset has that name; the message lists those there are. If both are given.

    Examples
    --------
    >>> import featurelib
    >>> spec = featurelib.get_spec("tutorial-v1")
    >>> spec.sr, spec.duration
    (22050, 30.0)
    """
    if preset is not None:
        if spec is not None:
            raise SpecError(f"preset={preset!r} and a spec are given: give one of the two")
        spec = preset
    if isinstance(spec, FeatureSpec):
        return spec
    name = DEFAULT if spec is None else spec
    if name not in PRESETS:
        hint = did_you_mean(str(name), PRESETS)
        raise SpecError(f"unknown preset {name!r}{hint} (there are {', '.join(PRESETS)})")
    return PRESETS[name]


def spec_from_settings(settings: Mapping[str, Any], folder: str | Path = ".") -> FeatureSpec:
    """Make a spec of settings, as in a TOML table: a preset with some fields changed.

    Parameters
    ----------
    settings : mapping
        Fields as of `FeatureSpec.from_dict`; with ``preset``, a preset's name, only those
        that differ from it. Its ``defaults`` go before the preset's. Without a ``name`` a
        changed preset is called ``<preset>-modified``.
    folder : path
        What the names of files in ``import`` are relative to.

    Raises
    ------
    SpecError
        If a field or the preset is unknown, or a value cannot be used.
    """
    if "preset" not in settings:
        return FeatureSpec.from_dict({"name": "custom", **settings}, folder=folder)
    preset = get_spec(settings["preset"])
    table = _BY_NAME[preset.name]
    changes = {key: value for key, value in settings.items() if key != "preset"}
    if isinstance(changes.get("defaults"), Mapping):
        changes["defaults"] = {**table.get("defaults", {}), **changes["defaults"]}
    spec = FeatureSpec.from_dict({**table, **changes}, folder=folder)
    if "name" in changes or spec.fingerprint == preset.fingerprint:
        return spec
    return FeatureSpec.from_dict(
        {**table, **changes, "name": f"{preset.name}-modified"}, folder=folder
    )
