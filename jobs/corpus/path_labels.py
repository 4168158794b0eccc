"""Labels that are read out of the paths of files: ``parent`` and ``name:PATTERN``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import UsageError
from jobs.storage.names import readable, stored_path

PARENT = "parent"
NAME = "name"

_PREFIX = f"{NAME}:"
_FIELD = "{label}"
_WILDCARDS = {"*": "[^/]*?", "?": "[^/]"}


@dataclass(frozen=True)
class PathLabels:
    """A rule that gives a label to each path.

    Attributes
    ----------
    kind : str
        ``parent`` or ``name``, as recorded in the table.
    of : callable
        Returns the labels of an array of stored paths; null where there is none.
    why_none : str
        Why a file may have no label, for a note.
    """

    kind: str
    of: Callable[[pa.Array], pa.Array]
    why_none: str


def path_labels(
    setting: str, *, option: str = "--labels", field: str = _FIELD
) -> PathLabels | None:
    """Return the rule of a value of `Settings.labels`; None if labels are not from paths.

    Parameters
    ----------
    setting : str
        ``parent``, ``name:PATTERN``, or something else.
    option : str
        Name of the option, for errors.
    field : str
        What stands for the label in a pattern.

    Raises
    ------
    UsageError
        If a pattern is malformed.
    """
    if setting == PARENT:
        return PathLabels(PARENT, parent_labels, "they are in no folder below it")
    if not setting.startswith(_PREFIX):
        return None
    pattern = _pattern(setting.removeprefix(_PREFIX), option, field)
    return PathLabels(
        NAME,
        lambda paths: _extracted(paths, pattern),
        f"their names do not match {setting.removeprefix(_PREFIX)!r}",
    )


def parent_labels(paths: pa.Array) -> pa.Array:
    """Return the name of each file's folder; null at the corpus root."""
    pieces = pc.split_pattern(paths, "/", max_splits=2, reverse=True)
    at = pc.subtract(pieces.offsets[1:], 2)
    has_folder = pc.greater(pc.list_value_length(pieces), 1)
    return _readable(pieces.values.take(pc.if_else(has_folder, at, None)))


def _pattern(text: str, option: str, field: str) -> str:
    """Return the regular expression (RE2) of a pattern.

    It matches the end of a path, from the beginning of a name: a pattern without ``/`` is for
    the file's own name. ``*`` and the field match as few characters as possible.
    """
    example = f"write, for example, 'name:{field}.*' for blues.00000.wav"
    if text.count(field) != 1:
        raise UsageError(
            f"{option} is {_PREFIX + text!r}: the pattern has to have {field} once; {example}"
        )
    rest = text.replace(field, "")
    if wrong := re.search(r"\{[^}]*\}?|\}", rest):
        raise UsageError(
            f"{option} is {_PREFIX + text!r}: {wrong[0]!r} has no meaning in a pattern, which has"
            f" {field}, * and ?; {example}"
        )
    stored = stored_path(text.removeprefix("/"))
    regex, start = "", 0
    wildcards = {**_WILDCARDS, field: "(?P<label>[^/]+?)"}
    for token in re.finditer(rf"{re.escape(field)}|[*?]", stored):
        regex += re.escape(stored[start : token.start()]) + wildcards[token[0]]
        start = token.end()
    return f"(?s)(?:^|/){regex}{re.escape(stored[start:])}$"


def _extracted(paths: pa.Array, pattern: str) -> pa.Array:
    return _readable(pc.struct_field(pc.extract_regex(paths, pattern), "label"))


def _readable(names: pa.Array) -> pa.Array:
    """Return stored names as labels."""
    encoded = names.dictionary_encode()
    labels = [readable(name) or None for name in encoded.dictionary.to_pylist()]
    return pa.array(labels, pa.string()).take(encoded.indices)
