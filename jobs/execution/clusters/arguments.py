"""Check the arguments of a class of clusters, the table ``[cluster]``, before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from jobs.errors import UsageError
from jobs.settings import did_you_mean


def check_arguments(name: str, given: Iterable[str], *takers: type) -> None:
    """Check that one of several classes takes each argument.

    Parameters
    ----------
    name : str
        Name of the cluster, for errors.
    given : iterable of str
        The arguments.
    *takers
        The class, and classes that it passes arguments on to.

    Raises
    ------
    UsageError
        If an argument is unknown.
    """
    known = {argument for taker in takers for argument in _arguments(taker)}
    for argument in given:
        if argument not in known:
            raise UsageError(
                f"[cluster] of {name}: there is no argument {argument!r}"
                f"{did_you_mean(argument, sorted(known))}"
            )


def passes_on(taker: type) -> bool:
    """Return whether a class takes any argument, and passes it on to others."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(taker).parameters.values())


def _arguments(taker: type) -> set[str]:
    """Return the arguments of a class, and of its base classes if it passes arguments on."""
    found: set[str] = set()
    for base in taker.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        found |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found - {"self"}
