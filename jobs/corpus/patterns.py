"""Include and exclude patterns of a corpus."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """Which of the files that are there belong to the corpus."""

    include: re.Pattern[str] | None = None
    exclude: re.Pattern[str] | None = None
    glob: re.Pattern[str] | None = None
    limit: int | None = None
    depth: int | None = None
    """Folders deep that a glob reaches, where it has no ``**``."""

    @classmethod
    def of(
        cls,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        limit: int | None = None,
        glob: str | None = None,
    ) -> Selection:
        """Return the selection of shell patterns; in `include` and `exclude` ``*`` matches ``/``.

        In `glob` it does not, as in a shell, and ``**`` does.
        """
        return cls(
            _any_of(include),
            _any_of(exclude),
            _glob_pattern(glob) if glob is not None else None,
            limit,
            glob.count("/") if glob is not None and "**" not in glob else None,
        )

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.include or self.exclude or self.glob or self.limit is not None)

    def takes(self, path: str) -> bool:
        """Say whether a file belongs to the corpus."""
        return (
            (self.include is None or self.include.match(path) is not None)
            and (self.exclude is None or self.exclude.match(path) is None)
            and (self.glob is None or self.glob.fullmatch(path) is not None)
        )

    def descends(self, folder: str) -> bool:
        """Say whether a folder may hold files that belong to the corpus."""
        if self.depth is not None and folder.count("/") >= self.depth:
            return False
        return self.exclude is None or not (
            self.exclude.match(folder) or self.exclude.match(f"{folder}/")
        )


def _any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(p) for p in patterns))


def _glob_pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_glob_regex(pattern), re.DOTALL)
    except re.error as error:
        raise UsageError(f"the glob {pattern} cannot be understood: {error.msg}") from error


def _glob_regex(pattern: str) -> str:
    """Return a regular expression for a shell glob, in which ``**`` crosses folders."""
    pieces = []
    for piece in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern):
        if piece == "**/":
            pieces.append("(?:.*/)?")
        elif piece == "**":
            pieces.append(".*")
        elif piece == "*":
            pieces.append("[^/]*")
        elif piece == "?":
            pieces.append("[^/]")
        elif piece.startswith("[") and piece.endswith("]"):
            pieces.append("[" + piece[1:-1].replace("!", "^", 1).replace("\\", "\\\\") + "]")
        else:
            pieces.append(re.escape(piece))
    return "".join(pieces)
