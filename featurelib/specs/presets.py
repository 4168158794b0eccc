"""Presets: named specs. The values of a preset never change; a new version has a new name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from featurelib.errors import SpecError
from featurelib.parameters import did_you_mean
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.keywords import flattened

#: Name of the default preset.
DEFAULT = "genre-v1"

#: Folder of the presets: one TOML file each, with the name of the preset.
FOLDER = Path(__file__).parents[1] / "presets"


@cache
def _table(name: str) -> dict[str, Any]:
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["spec"]
    return _changed(_table(table["preset"]), table) if "preset" in table else table


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def _changed(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of a spec with other fields, and other single defaults."""
    changes = {key: value for key, value in changes.items() if key != "preset"}
    if isinstance(changes.get("defaults"), Mapping):
        before, after = table.get("defaults", {}), changes["defaults"]
        changes["defaults"] = dict(flattened(before)) | dict(flattened(after))
    return {**table, **changes}


def _without_description(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "description"}


def preset_description(name: str) -> str:
    """Return what a preset is for, in a few words.

    Raises
    ------
    SpecError
        If no preset has the name.
    """
    if name not in PRESETS:
        raise SpecError(f"unknown preset {name!r} (there are {', '.join(PRESETS)})")
    return _table(name)["description"]


class _Presets(Mapping[str, FeatureSpec]):
    """All presets by name. A preset is read when it is needed."""

    def __init__(self) -> None:
        self._made: dict[str, FeatureSpec] = {}

    def __getitem__(self, name: str) -> FeatureSpec:
        if name not in _names():
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = FeatureSpec.from_dict(_without_description(_table(name)))
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in _names()

    def __iter__(self) -> Iterator[str]:
        return iter(_names())

    def __len__(self) -> int:
        return len(_names())


#: Presets by name.
PRESETS: Mapping[str, FeatureSpec] = _Presets()


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
        ``description`` is for people and ignored. The default name is ``custom``, or
        ``<preset>-modified`` if the fingerprint changed.
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
    settings = _without_description(settings)
    if "preset" not in settings:
        return FeatureSpec.from_dict({"name": "custom", **settings}, folder=folder)
    preset = get_spec(settings["preset"])
    table = _changed(_without_description(_table(preset.name)), settings)
    spec = FeatureSpec.from_dict(table, folder=folder)
    if "name" in settings or spec.fingerprint == preset.fingerprint:
        return spec
    return FeatureSpec.from_dict({**table, "name": f"{preset.name}-modified"}, folder=folder)
