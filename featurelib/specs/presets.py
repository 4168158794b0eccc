"""Presets: named specs. The values of a preset never change; a new version has a new name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from featurelib.errors import SpecError
from featurelib.parameters import did_you_mean
from featurelib.specs.feature_spec import FeatureSpec

#: Name of the default preset.
DEFAULT = "genre-v1"

_TUTORIAL = {"statistics": ["mean"], "columns": "{name}{row}"}

#: Presets as plain values, as in a TOML file.
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

#: Presets by name.
PRESETS: Mapping[str, FeatureSpec] = MappingProxyType(
    {name: FeatureSpec.from_dict(table) for name, table in _BY_NAME.items()}
)


def get_spec(spec: str | FeatureSpec | None = None, *, preset: str | None = None) -> FeatureSpec:
    """Return the preset with a name, or `spec` itself if it is a spec.

    Parameters
    ----------
    spec : str or FeatureSpec, optional
        A spec, or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.

    Returns
    -------
    FeatureSpec

    Raises
    ------
    SpecError
        If no preset has the name (the message lists all names), or both arguments are given.

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
    """Make a spec from plain values, possibly as changes to a preset.

    Parameters
    ----------
    settings : mapping
        Fields as for `FeatureSpec.from_dict`. With the key ``preset``, the name of a preset,
        the other fields replace those of the preset. ``defaults`` replaces single defaults.
        The default name is ``custom``, or ``<preset>-modified`` if the fingerprint changed.
    folder : path
        Folder of relative file names in ``import``.

    Returns
    -------
    FeatureSpec

    Raises
    ------
    SpecError
        If a field or the preset is unknown, or a value is invalid.
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
