"""Description of the feature families and their parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

from featurelib.features import Feature, families
from featurelib.parameters import bounds
from featurelib.specs.keywords import SHARED, Place, find_places, places


def describe_families() -> list[dict[str, Any]]:
    """Describe all feature families of featurelib, in order of their names.

    Returns
    -------
    list of dict
        One dictionary per family with ``family``, ``unit``, ``definition`` and
        ``parameters``. The last is a list of dictionaries with

        - ``name``, the key in a spec;
        - ``default``, None if there is none;
        - ``bounds`` and ``definition``, as text;
        - ``is_shared``, whether a value in an entry applies to all STFTs of that entry.
    """
    return [_described(name, kind) for name, kind in families().items()]


def _described(name: str, kind: type[Feature]) -> dict[str, Any]:
    fixed = frozenset(f.name for f in dataclasses.fields(kind) if f.name == "of")  # type: ignore[arg-type]
    available = places(kind, fixed)
    parameters = [_parameter("of", None, "", "an earlier entry of the spec") for _ in fixed]
    for place in available:
        key = place.path[-1]
        if find_places(available, key)[0] is place:
            default = _default(kind, place)
            doc = place.field.metadata["doc"]
            parameters.append(_parameter(key, default, bounds(place.field), doc))
    unit = kind.unit if isinstance(kind.unit, str) else "that of the other feature, a frame"
    definition = (kind.__doc__ or "").splitlines()[0].rstrip(".")
    return {"family": name, "unit": unit, "definition": definition, "parameters": parameters}


def _default(kind: type[Feature], place: Place) -> Any:
    """Return the default of a parameter in a family, which may differ from its node's own."""
    first, *rest = place.path
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    value: Any = fields[first].default
    for name in rest:
        value = getattr(value, name)
    return None if value is dataclasses.MISSING else value


def _parameter(name: str, default: Any, limits: str, definition: str) -> dict[str, Any]:
    return {
        "name": name,
        "default": default,
        "bounds": limits,
        "definition": definition,
        "is_shared": name in SHARED,
    }
