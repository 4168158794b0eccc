"""Nodes from plain keywords: find the node, at any depth, that has a parameter."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from featurelib.errors import SpecError
from featurelib.graph import Node
from featurelib.parameters import did_you_mean, is_node_field

NodeType = TypeVar("NodeType", bound=Node)

#: Parameters of frames and STFTs. A value in an entry applies to all STFTs of that entry.
SHARED = frozenset({"n_fft", "hop_length", "window", "win_length", "fftbins", "center", "pad_mode"})


@lru_cache(maxsize=512)
def _hint(kind: type, name: str) -> Any:
    return typing.get_type_hints(kind)[name]


def node_class(kind: type, field: dataclasses.Field[Any]) -> type[Node]:
    """Return the class of nodes that a field of the node class `kind` holds."""
    hint = _hint(kind, field.name)
    if isinstance(hint, types.UnionType):
        hint = next(part for part in hint.__args__ if part is not types.NoneType)
    return hint


class Place(NamedTuple):
    """Position of one parameter in the tree of a node's fields.

    Attributes
    ----------
    path : tuple of str
        Names of the fields that lead to the parameter, ending with its own name.
    field : dataclasses.Field
        Field of the parameter.
    """

    path: tuple[str, ...]
    field: dataclasses.Field[Any]

    @property
    def dotted(self) -> str:
        """Path with dots, as in specs."""
        return ".".join(self.path)


def places(kind: type, fixed: frozenset[str] = frozenset()) -> list[Place]:
    """Return all parameters of a node class and of the nodes in its fields, nearest first.

    Parameters
    ----------
    kind : type
        Node class.
    fixed : frozenset of str
        Fields of `kind` that are set to given nodes; their parameters are left out.

    Returns
    -------
    list of Place
    """
    found: list[Place] = []
    level: list[tuple[tuple[str, ...], type]] = [((), kind)]
    while level:
        below: list[tuple[tuple[str, ...], type]] = []
        for path, current in level:
            for field in dataclasses.fields(current):
                if not path and field.name in fixed:
                    continue
                if is_node_field(field):
                    read = node_class(current, field)
                    if dataclasses.is_dataclass(read):  # base classes have no parameters
                        below.append(((*path, field.name), read))
                else:
                    found.append(Place((*path, field.name), field))
        level = below
    return found


def find_places(available: list[Place], key: str) -> list[Place]:
    """Return the parameters to which a keyword applies; empty if no node has it.

    A plain keyword applies to the nearest node that has the parameter. A keyword in `SHARED`
    applies to all nodes that have it. A dotted keyword names the path to one parameter.

    Parameters
    ----------
    available : list of Place
        Parameters of a node class, from `places`.
    key : str
        Keyword, such as ``"n_fft"`` or ``"mel.stft.window"``.

    Raises
    ------
    SpecError
        If two nodes with the parameter are equally near.
    """
    if "." in key:
        return [place for place in available if place.dotted == key]
    matches = [place for place in available if place.path[-1] == key]
    if not matches or key in SHARED:
        return matches
    nearest = [place for place in matches if len(place.path) == len(matches[0].path)]
    if len(nearest) > 1:
        names = " or ".join(f'"{place.dotted}"' for place in nearest)
        raise SpecError(f"{key!r} may be meant for several nodes: write {names}")
    return nearest


def build(
    kind: type[NodeType], values: Mapping[str, Any], given: Mapping[str, Node] | None = None
) -> NodeType:
    """Make a node from plain keywords.

    Parameters
    ----------
    kind : type
        Class of the node.
    values : mapping of str to object
        Parameters by keyword; see `find_places`.
    given : mapping of str to Node, optional
        Fields of `kind` that are set to given nodes.

    Raises
    ------
    SpecError
        If a keyword is unknown or ambiguous, or a value is invalid.
    """
    given = given or {}
    available = places(kind, frozenset(given))
    by_path: dict[tuple[str, ...], Any] = {}
    # Dotted keywords last, because they are more specific and override plain ones.
    for key in sorted(values, key=lambda key: "." in key):
        targets = find_places(available, key)
        if not targets:
            known = sorted({place.path[-1] for place in available})
            listed = f" (there are {', '.join(known)})" if known else ""
            raise SpecError(f"unknown parameter {key!r}{did_you_mean(key, known)}{listed}")
        for place in targets:
            by_path[place.path] = values[key]
    return _assemble(kind, None, by_path, (), given)


def _assemble(
    kind: type[NodeType],
    default: NodeType | None,
    by_path: Mapping[tuple[str, ...], Any],
    path: tuple[str, ...],
    given: Mapping[str, Node],
) -> NodeType:
    """Make the node at a path; other parameters have the values of `default`."""
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        here = (*path, field.name)
        if not path and field.name in given:
            arguments[field.name] = given[field.name]
        elif is_node_field(field):
            if any(other[: len(here)] == here for other in by_path):
                below = field.default if default is None else getattr(default, field.name)
                arguments[field.name] = _assemble(
                    node_class(kind, field),
                    None if below is dataclasses.MISSING else below,
                    by_path,
                    here,
                    given,
                )
        elif here in by_path:
            arguments[field.name] = by_path[here]
    if default is not None:
        return dataclasses.replace(default, **arguments)  # type: ignore[type-var]
    missing = [
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in arguments
    ]
    if missing:
        raise SpecError(f"{missing[0]!r} has to be given")
    return kind(**arguments)


def keywords(node: Node, fixed: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return all parameters of a node as keywords for `build`.

    Parameters
    ----------
    node : Node
        Node to convert. Fields that are None have no parameters.
    fixed : frozenset of str
        As for `places`.
    """
    available = [
        place for place in places(type(node), fixed) if _value_at(node, place.path[:-1]) is not None
    ]
    values = {place.path: _value_at(node, place.path) for place in available}
    result: dict[str, Any] = {}
    for place in available:
        key = place.path[-1]
        same = [other for other in available if other.path[-1] == key]
        is_first = same[0] is place
        if key in SHARED:
            is_plain = is_first or values[place.path] == values[same[0].path]
        else:
            is_plain = is_first and sum(len(p.path) == len(place.path) for p in same) == 1
        result.setdefault(key if is_plain else place.dotted, values[place.path])
    return result


def _value_at(node: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        node = None if node is None else getattr(node, name)
    return node


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the items of nested tables with dotted keys; TOML's ``a.b = 1`` has ``"a.b"``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
