"""Prepare the standard streams, the encoding and the signals of the process."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import gc
import io
import locale
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from jobs.errors import OutputError, TerminatedError

#: Signals by the exceptions that they raise.
_SIGNALS = {KeyboardInterrupt: signal.SIGINT, TerminatedError: signal.SIGTERM}

#: After this time a dropped signal is sent again [s].
_AGAIN_S = 0.05


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into `TerminatedError`, so that a run can clean up.

    Python drops the exception of a signal that comes in a ``__del__`` or a weak reference's
    callback. The signal is sent again then.
    """

    def again(dropped: Any) -> None:
        number = _SIGNALS.get(dropped.exc_type)
        if number is None:
            hook(dropped)
            return
        timer = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    def terminate(number: int, frame: object) -> NoReturn:
        raise TerminatedError("ended by SIGTERM")

    hook, sys.unraisablehook = sys.unraisablehook, again
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook


def open_missing_streams() -> None:
    """Open standard streams that the process was started without, also for its workers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            os.set_inheritable(descriptor, True)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - never closed
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def restart_in_utf8() -> None:
    """Restart this process in Python's UTF-8 mode if the locale has another encoding.

    Names of local files are correct in any locale (`jobs.storage.names.utf8_name`). But
    Python decodes the command line when it starts, and libraries print text.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.utf8_mode:
        return
    if sys.executable and os.path.isfile(sys.argv[0]):  # not a script from standard input
        with contextlib.suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def start_and_end_quickly(run: Callable[[], NoReturn]) -> NoReturn:
    """Run a command that ends this process; leave the freeing of its memory to the system.

    Imports make hardly any garbage, but looking for it takes a sixth of their time. To free
    every object at the end takes a third of a second.
    """
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
    try:
        run()
    except SystemExit as error:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            raise error from None  # Python's own end reports it
        atexit._run_exitfuncs()
        os._exit(error.code if isinstance(error.code, int) else 0)


class _Output(io.FileIO):
    """Standard output, whose errors say what cannot be written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(
                f"standard output cannot be written: {error.strerror}; make room where it goes,"
                " or send it elsewhere"
            ) from error


def name_errors_of_output() -> None:
    """Let an error of standard output raise `OutputError`, not one that says nothing of it."""
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        device = _Output(sys.stdout.fileno(), "wb", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(device),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=sys.stdout.line_buffering,
        )


def drop_output() -> None:
    """Send what is left in the buffer of standard output nowhere, so that Python can exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fit_streams() -> None:
    """Set output to UTF-8, or to the encoding of the terminal; escape other characters."""
    try:
        locale_encoding = codecs.lookup(locale.getencoding()).name  # also in UTF-8 mode
    except LookupError:  # Python has no such codec
        locale_encoding = "utf-8"
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        # in the C locale, whose encoding is ASCII, the terminal is probably UTF-8
        use_locale = stream.isatty() and locale_encoding != "ascii"
        encoding = locale_encoding if use_locale else "utf-8"
        if "PYTHONIOENCODING" in os.environ:
            encoding = stream.encoding
        stream.reconfigure(encoding=encoding, errors="backslashreplace")
