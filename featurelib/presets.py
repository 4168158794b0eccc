"""Named specs. A preset's values never change under its name: a new version is a new name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from featurelib.errors import SpecError
from featurelib.spec import FeatureSpec, did_you_mean

_MEAN_STD = ("mean", "std")

_GENRE_V1 = FeatureSpec(
    name="genre-v1",
    features=(
        ("rms", _MEAN_STD),
        ("zero_crossing_rate", _MEAN_STD),
        ("spectral_centroid", _MEAN_STD),
        ("spectral_bandwidth", _MEAN_STD),
        ("spectral_rolloff", _MEAN_STD),
        ("spectral_flatness", _MEAN_STD),
        ("spectral_flux", _MEAN_STD),
        ("spectral_contrast", _MEAN_STD),
        ("mfcc", _MEAN_STD),
        ("chroma_stft", _MEAN_STD),
        ("stft", ("mean", "std", "max", "skew")),
        ("stft_db", _MEAN_STD),
    ),
)

_TUTORIAL_V1 = FeatureSpec(
    name="tutorial-v1",
    duration=30.0,
    features=tuple(
        (family, ("mean",))
        for family in (
            "chroma_stft",
            "rms",
            "spectral_centroid",
            "spectral_bandwidth",
            "spectral_rolloff",
            "zero_crossing_rate",
            "mfcc",
        )
    ),
    pooled=("chroma_stft",),
    naming="tutorial",
)

#: The named specs.
PRESETS: Mapping[str, FeatureSpec] = MappingProxyType(
    {spec.name: spec for spec in (_GENRE_V1, _TUTORIAL_V1)}
)


def get_spec(spec: str | FeatureSpec) -> FeatureSpec:
    """Return the spec of that name, or `spec` itself if it is one already.

    Raises
    ------
    SpecError
        If no preset has that name; the message lists those there are.
    """
    if isinstance(spec, FeatureSpec):
        return spec
    if spec not in PRESETS:
        hint = did_you_mean(str(spec), PRESETS)
        raise SpecError(f"unknown preset {spec!r}{hint} (there are {', '.join(PRESETS)})")
    return PRESETS[spec]


def spec_from_settings(settings: Mapping[str, Any]) -> FeatureSpec:
    """Make a spec of settings, as in a TOML table: a preset with some fields changed.

    Parameters
    ----------
    settings : mapping
        Fields of `FeatureSpec`; with ``preset``, a preset's name, only those that differ
        from it. Without a ``name`` a changed preset is called ``<preset>-modified``.

    Raises
    ------
    SpecError
        If a field or the preset is unknown, or a value cannot be used.
    """
    if "preset" not in settings:
        return FeatureSpec.from_dict({"name": "custom", **settings})
    preset = get_spec(settings["preset"])
    changes = {key: value for key, value in settings.items() if key != "preset"}
    spec = FeatureSpec.from_dict({**preset.to_dict(), **changes})
    if "name" in changes or spec.fingerprint == preset.fingerprint:
        return spec
    return FeatureSpec.from_dict({**spec.to_dict(), "name": f"{preset.name}-modified"})
