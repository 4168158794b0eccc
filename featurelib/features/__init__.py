"""Feature families, one module each. Specs refer to them by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType

from featurelib.errors import SpecError
from featurelib.features.base import Feature

__all__ = ["Feature", "families", "families_in"]


@cache
def families() -> Mapping[str, type[Feature]]:
    """Return the feature families of featurelib.

    Returns
    -------
    mapping of str to type
        Subclasses of `Feature` by family name, sorted by name.

    Examples
    --------
    >>> import featurelib
    >>> featurelib.families()["spectral_centroid"].unit
    'Hz'
    """
    found: dict[str, type[Feature]] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = import_module(f"{__name__}.{info.name}")
        found.update(families_in(module))
    return MappingProxyType(dict(sorted(found.items())))


def families_in(module: ModuleType) -> Iterator[tuple[str, type[Feature]]]:
    """Yield name and class of each feature family that a module defines.

    Raises
    ------
    SpecError
        If two families have the same name.
    """
    names = set()
    for kind in vars(module).values():
        if not (isinstance(kind, type) and issubclass(kind, Feature)):
            continue
        name = getattr(kind, "family", None)
        if name is None or kind.__module__ != module.__name__:
            continue
        if name in names:
            raise SpecError(f"{module.__name__} has two families with the name {name!r}")
        names.add(name)
        yield name, kind
