"""Parameters of nodes: their defaults, types and bounds."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from featurelib.errors import SpecError

#: Lowest and highest accepted sampling rate, for analysis and of files [Hz].
SR_LIMITS = (1_000, 1_000_000)

#: Upper bound for the size of parameters; larger values would overflow in products.
_LARGEST = 1e9


def parameter(
    default: Any = dataclasses.MISSING,
    doc: str = "",
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    even: bool = False,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field whose value is checked when a node is made.

    Parameters
    ----------
    default : object
        Default value; a parameter without one is required.
    doc : str
        Meaning and unit, shown to users.
    ge, gt, le, lt : float, optional
        Bounds: greater or equal, greater than, less or equal, less than.
    even : bool
        Whether the value must be even.
    choices : tuple of str
        Allowed values.

    Returns
    -------
    dataclasses.Field
    """
    metadata = {"ge": ge, "gt": gt, "le": le, "lt": lt, "even": even, "choices": choices}
    return dataclasses.field(default=default, metadata={**metadata, "doc": doc})


def sr_parameter() -> Any:
    """Return the parameter `sr` of a family whose values depend on the frequencies of bins.

    The published FMA table needs it: its columns are computed as if each file had the rate
    22 050 Hz.
    """
    low, high = SR_LIMITS
    return parameter(
        None, "sampling rate that places the bins [Hz]; the signal's if not given", ge=low, le=high
    )


def bounds(field: dataclasses.Field[Any]) -> str:
    """Return the bounds of a parameter as text, such as ``"≥ 1, even"``."""
    m = field.metadata
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    parts = [f"{sign} {m[key]:g}" for key, sign in signs if m.get(key) is not None]
    if m.get("even"):
        parts.append("even")
    if m.get("choices"):
        parts.append(", ".join(m["choices"]))
    return ", ".join(parts)


def checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a field's value, converted to the declared type of the field.

    Raises
    ------
    SpecError
        If the value has another type, or is out of bounds.
    """
    if is_node_field(field):
        if not (hasattr(value, "inputs") or (value is None and "None" in str(field.type))):
            raise SpecError(f"{field.name}={value!r} is not a node")
        return value
    kind = str(field.type)
    if value is None and kind.endswith("| None"):
        return None
    kind = kind.removesuffix("| None").strip()
    value = _coerced(field.name, kind, value)
    if kind in ("int", "float"):
        _check_bounds(field, value)
    choices = field.metadata.get("choices")
    if choices and value not in choices:
        raise SpecError(f"{field.name}={value!r}: there are {', '.join(choices)}")
    return value


def _coerced(name: str, kind: str, value: Any) -> Any:
    if kind == "bool":
        if not isinstance(value, bool):
            raise SpecError(f"{name}={value!r} must be true or false")
        return value
    if kind == "int":
        if isinstance(value, bool) or not isinstance(value, Integral):  # NumPy's too
            raise SpecError(f"{name}={value!r} is not a whole number")
        return int(value)
    if kind == "float":
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not -_LARGEST <= value <= _LARGEST:  # NaN fails too
            raise SpecError(f"{name}={value!r} is not a number, or too large")
        return float(value)
    if not isinstance(value, str):
        raise SpecError(f"{name}={value!r} is not a text")
    return value


def _check_bounds(field: dataclasses.Field[Any], value: float) -> None:
    m = field.metadata
    words = (
        ("ge", "at least", lambda bound: value >= bound),
        ("gt", "greater than", lambda bound: value > bound),
        ("le", "at most", lambda bound: value <= bound),
        ("lt", "less than", lambda bound: value < bound),
    )
    for key, word, holds in words:
        bound = m.get(key)
        if bound is not None and not holds(bound):
            raise SpecError(f"{field.name}={value!r} must be {word} {bound:g}")
    if m.get("even") and value % 2:
        raise SpecError(f"{field.name}={value!r} must be an even number")


def is_node_field(field: dataclasses.Field[Any]) -> bool:
    """Return whether a dataclass field holds a node."""
    return str(field.type).removesuffix("| None").strip() not in ("int", "float", "str", "bool")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint for the end of an error message; empty if no known word is similar."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
