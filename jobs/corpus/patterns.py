"""Include and exclude patterns of a corpus."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from jobs.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """The patterns and the limit that decide which files belong to the corpus.

    Attributes
    ----------
    include, exclude, glob : re.Pattern, optional
        Patterns for the path relative to the root.
    limit : int, optional
        Maximum number of files.
    depth : int, optional
        Depth of folders that a glob without ``**`` reaches.
    """

    include: re.Pattern[str] | None = None
    exclude: re.Pattern[str] | None = None
    glob: re.Pattern[str] | None = None
    limit: int | None = None
    depth: int | None = None

    @classmethod
    def of(
        cls,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        limit: int | None = None,
        glob: str | None = None,
    ) -> Selection:
        """Return the selection for shell patterns.

        In `include` and `exclude`, ``*`` matches ``/``. In `glob` only ``**`` does, as in a
        shell.
        """
        return cls(
            _any_of(include),
            _any_of(exclude),
            _glob_pattern(glob) if glob is not None else None,
            limit,
            glob.count("/") if glob is not None and "**" not in glob else None,
        )

    @property
    def has_patterns(self) -> bool:
        """Whether there are patterns."""
        return bool(self.include or self.exclude or self.glob)

    @property
    def everything(self) -> bool:
        """Whether all files are selected."""
        return not (self.has_patterns or self.limit is not None)

    def takes(self, path: str) -> bool:
        """Return whether a file belongs to the corpus."""
        return (
            (self.include is None or self.include.match(path) is not None)
            and (self.exclude is None or self.exclude.match(path) is None)
            and (self.glob is None or self.glob.fullmatch(path) is not None)
        )

    def taken(self, paths: pa.Array | pa.ChunkedArray) -> pa.BooleanArray:
        """Return for each path whether the file belongs to the corpus."""
        return pa.array([self.takes(path) for path in paths.to_pylist()], pa.bool_())

    def descends(self, folder: str) -> bool:
        """Return whether a folder may contain files of the corpus."""
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
    """Return the regular expression of a shell glob, in which ``**`` crosses folders."""
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
