"""A corpus and its table, for commands that are refused and leave the table as it is."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.light import command, invoke, published, run, write

TUTORIAL = ("--preset", "tutorial-v1")


def refused(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> str:
    """Check that a command ended with one line on standard error that has all parts in it."""
    assert result.returncode == code, result.stderr
    [line] = result.stderr.splitlines()
    assert line.startswith("featurelib: ")
    for part in parts:
        assert part in line
    assert result.stdout == ""
    assert len(line) < 1000
    return line


class Place:
    """A corpus of four files, one of them bad, and its table."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.music, self.table = folder, folder / "music", folder / "table"
        for name in ("rock/a.wav", "rock/b.wav", "jazz/c.wav"):
            write(self.music / name)
        write(self.music / "jazz" / "d.wav", "bad")
        run(self.music, self.table)

    def extract(
        self, *options: str | Path, unprivileged: bool = False
    ) -> subprocess.CompletedProcess[str]:
        line = ("extract", self.music, "-o", self.table, *TUTORIAL, *options)
        return command(*line, unprivileged=True) if unprivileged else invoke(*line)

    @contextlib.contextmanager
    def untouched(self) -> Iterator[None]:
        """Fail if the table is another when the context ends."""
        before = published(self.table)
        info = (self.table / "_job" / "table.json").read_bytes()
        yield
        assert published(self.table) == before
        assert (self.table / "_job" / "table.json").read_bytes() == info
