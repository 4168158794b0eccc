"""Files without features: how many of each kind, what it means, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

#: Examples of each kind.
N_EXAMPLES = 10

_UNKNOWN = ("Another reason.", "Read the messages below.")

#: What a kind of error means, and what to do.
_KINDS = {
    "undecodable": (
        "No decoder finds audio in the file.",
        "Play it. If it is broken, get it again; if it is no audio, delete it (or --exclude it).",
    ),
    "empty": ("The file has no samples.", "Get it again, or delete it."),
    "not_finite": (
        "Samples are not numbers (NaN or infinite).",
        "Write the file again from its source; the program that made it has a fault.",
    ),
    "too_short": (
        "The audio is shorter than the spec needs.",
        "Get the whole recording, or leave out files this short.",
    ),
    "too_long": (
        "The audio is longer than the spec allows.",
        "Cut it into pieces, or raise the limit in the spec.",
    ),
    "unsuitable": (
        "A feature is not defined for this audio.",
        "The message names the feature: take another rate, or leave the feature out of the spec.",
    ),
    "crashed": (
        "A decoder crashed on the file, or took all memory.",
        "Do not open it elsewhere before you know where it comes from. Get it again, or delete it.",
    ),
    "unreadable": (
        "The storage did not give the file.",
        "Check permissions and the connection, then run the job again: it retries these files.",
    ),
    "timed_out": (
        "The file took longer than the limit.",
        "Run the job again; if it happens again, raise --file-timeout-s.",
    ),
    "vanished": (
        "The file was listed, but was gone when it was read.",
        "Run the job again, when nothing else changes the corpus.",
    ),
}


@dataclass(frozen=True)
class FailedFile:
    """A file without features, and the message about it."""

    path: str
    message: str


@dataclass(frozen=True)
class Failures:
    """Files without features for one kind of reason.

    Attributes
    ----------
    kind : str
        Kind of error.
    n : int
        Number of files.
    meaning, advice : str
        What it means, and what to do.
    examples : list of FailedFile
        The first ones by path.
    """

    kind: str
    n: int
    meaning: str
    advice: str
    examples: list[FailedFile]


def failures_of(errors: pd.DataFrame) -> list[Failures]:
    """Return files without features by kind, the most frequent kind first.

    Parameters
    ----------
    errors : pandas.DataFrame
        Columns ``path``, ``error_kind`` and ``message``, sorted by path.
    """
    found = []
    for kind, rows in errors.groupby("error_kind", observed=True, sort=False):
        first = rows.head(N_EXAMPLES)
        examples = [FailedFile(*pair) for pair in zip(first["path"], first["message"], strict=True)]
        meaning, advice = _KINDS.get(str(kind), _UNKNOWN)
        found.append(Failures(str(kind), len(rows), meaning, advice, examples))
    return sorted(found, key=lambda failures: (-failures.n, failures.kind))
