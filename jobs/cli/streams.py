"""The streams and signals of the process."""

from __future__ import annotations

import codecs
import contextlib
import io
import locale
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from jobs.errors import TerminatedError


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a run ends in good order."""

    def terminate(number: int, frame: object) -> NoReturn:
        raise TerminatedError("ended by SIGTERM; finished work is kept, run again to go on")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_missing_streams() -> None:
    """Give a process that was started without output somewhere to write, as its workers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(descriptor, True)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def restart_in_utf8() -> None:
    """Start this process again in Python's UTF-8 mode, where the locale has another encoding.

    Local names are right in any locale (`jobs.storage.names.utf8_name`). But URLs and patterns from
    the command line, paths in a settings file and what other libraries print are text, which
    Python decodes when it starts.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.utf8_mode:
        return
    if sys.executable and os.path.isfile(sys.argv[0]):  # not a script from standard input
        with contextlib.suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def fit_streams() -> None:
    """Have output in UTF-8, on a terminal in the terminal's encoding; it never fails by that."""
    try:
        of_locale = codecs.lookup(locale.getencoding()).name  # UTF-8 mode leaves it as it is
    except LookupError:  # one that Python has no codec for
        of_locale = "utf-8"
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        # in the C locale, whose encoding is ASCII, a terminal most likely takes UTF-8
        own = stream.isatty() and of_locale != "ascii"
        encoding = of_locale if own else "utf-8"
        if "PYTHONIOENCODING" in os.environ:
            encoding = stream.encoding
        stream.reconfigure(encoding=encoding, errors="backslashreplace")
