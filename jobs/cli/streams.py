"""Prepare the standard streams, the encoding and the signals of the process."""

from __future__ import annotations

import _thread
import atexit
import codecs
import contextlib
import gc
import io
import locale
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any, NoReturn

from jobs.errors import OutputError, TerminatedError

#: Signals by the exceptions that they raise.
_SIGNALS = {KeyboardInterrupt: signal.SIGINT, TerminatedError: signal.SIGTERM}

#: After this time a dropped signal is sent again [s].
_AGAIN_S = 0.05


#: What runs while Python starts an extension module.
_STARTS = {
    ExtensionFileLoader.create_module.__code__,
    ExtensionFileLoader.exec_module.__code__,
}


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """Context manager: Ctrl-C and SIGTERM raise an exception, so that a command can clean up.

    Where the exception would be dropped, the signal is sent again. Python drops it in a
    ``__del__`` and in a weak reference's callback, and modules that Cython made while they
    start: it is then that they ignore whatever fails in their first calls.
    """

    def again(dropped: Any) -> None:
        number = _SIGNALS.get(dropped.exc_type)
        if number is None:
            hook(dropped)
        else:
            _send_again(number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _is_starting_extension(frame):
            _send_again(number)
        else:
            signal.default_int_handler(number, frame)

    def terminate(number: int, frame: FrameType | None) -> None:
        if _is_starting_extension(frame):
            _send_again(number)
        else:
            raise TerminatedError("ended by SIGTERM")

    hook, sys.unraisablehook = sys.unraisablehook, again
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def _is_starting_extension(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code not in _STARTS:
        frame = frame.f_back
    return frame is not None


def _send_again(number: int) -> None:
    def send() -> None:
        time.sleep(_AGAIN_S)
        os.kill(os.getpid(), number)

    # not a `threading.Thread`, whose start takes a lock that the main thread may hold just now
    _thread.start_new_thread(send, ())


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
