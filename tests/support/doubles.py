"""Extractors that stand in for the real one; worker processes import them by this module's name.

The files of a test's corpus need not be audio then: `by_content` does what their text says.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

import featurelib
from jobs.table.staging import Origin

SPEC = featurelib.get_spec("tutorial-v1")
ORIGIN = Origin("corpus", 1)
"""The spec that the doubles make columns for quickest."""


def by_content(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Do what a file's first word says, and give rows that its whole text decides."""
    text = (source if isinstance(source, bytes) else Path(source).read_bytes()).decode()
    verb, _, rest = text.partition(" ")
    _VERBS[verb](rest)
    yield from rows_of(text, spec)


def rows_of(text: str, spec: featurelib.FeatureSpec = SPEC) -> Iterator[featurelib.Rows]:
    """Give one to three segments of one to three channels, or of all of them together."""
    n_segments, n_channels = _number(text) % 3 + 1, _number(text) // 3 % 4
    for channel in range(n_channels) if n_channels else (None,):
        rows = [columns_of(f"{text} {channel} {i}", spec) for i in range(n_segments)]
        columns = {name: [row[name][0] for row in rows] for name in rows[0]}
        columns |= {"channel": [channel] * n_segments, "segment": range(n_segments)}
        yield featurelib.Rows(n_segments, {}, columns)


def columns_of(text: str, spec: featurelib.FeatureSpec = SPEC) -> dict[str, list[Any]]:
    """Return one row of values that a text decides."""
    number = _number(text)
    return {field.name: [_value(field, number)] for field in featurelib.schema(spec)}


def _number(text: str) -> int:
    return xxhash.xxh64_intdigest(text.encode()) % 1000


def _value(field: pa.Field, number: int) -> Any:
    if pa.types.is_string(field.type):
        return f"{field.name} {number}"
    return bool(number % 2) if pa.types.is_boolean(field.type) else number


def _bad(message: str) -> None:
    raise featurelib.AudioError("undecodable", message or "no audio")


def _unreadable(message: str) -> None:
    raise PermissionError(errno.EACCES, message or "no permission")


def _surprise(message: str) -> None:
    raise ZeroDivisionError(message)


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())


def _exit(code: str) -> None:
    os._exit(int(code or 1))


def _signal(number: str) -> None:
    os.kill(os.getpid(), int(number))
    threading.Event().wait(10)


def _work(seconds: str) -> None:
    """``work SECONDS NUMBER``: take some time."""
    time.sleep(float(seconds.partition(" ")[0]))


def _hang(rest: str) -> None:
    threading.Event().wait()


def _eat(rest: str) -> None:
    hoard = []
    while True:
        hoard.append(b"x" * 2**24)
        time.sleep(0.005)  # so that the nanny's watch, not the machine's, is what ends it


def _gate(folder: str) -> None:
    """Say that the file is being worked on, and wait until the test opens the gate."""
    Gate(Path(folder.rstrip())).enter()


def _once(marker_and_verb: str) -> None:
    """``once MARKER VERB …``: do VERB the first time only."""
    marker, _, text = marker_and_verb.partition(" ")
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return
    verb, _, rest = text.partition(" ")
    _VERBS[verb](rest)


def _rewrite(file_and_text: str) -> None:
    """``rewrite FILE TEXT``: give a file other contents."""
    name, _, text = file_and_text.partition(" ")
    Path(name).write_text(text)


def _remove(names: str) -> None:
    for name in names.split():
        Path(name).unlink()


_VERBS: dict[str, Callable[[str], None]] = {
    "play": lambda rest: None,
    "bad": _bad,
    "unreadable": _unreadable,
    "surprise": _surprise,
    "say": _say,
    "exit": _exit,
    "signal": _signal,
    "work": _work,
    "hang": _hang,
    "eat": _eat,
    "gate": _gate,
    "once": _once,
    "rewrite": _rewrite,
    "remove": _remove,
}


class Gate:
    """Where files of a corpus (``gate FOLDER``) wait until a test lets them through."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def enter(self) -> None:
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}.in").touch()
        while not (self.folder / "open").exists():
            time.sleep(0.01)

    def open(self) -> None:
        """Let all through, now and later."""
        (self.folder / "open").touch()

    @property
    def pids(self) -> list[int]:
        """Processes in which files came to the gate."""
        return [int(path.name.partition("-")[0]) for path in sorted(self.folder.glob("*.in"))]
