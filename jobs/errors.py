"""Exit codes, the errors that end a run, and the kinds of errors of files."""

from __future__ import annotations

import errno

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_HELD = 3
EXIT_DIFFERS = 3
EXIT_UNREAD = 4
EXIT_BUSY = 75
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class JobError(Exception):
    """Base class of errors that the user can act on; the message is one line.

    Attributes
    ----------
    exit_code : int
        Exit code of the command.
    """

    exit_code = EXIT_FAILED


class UsageError(JobError):
    """The request is wrong: an option, a settings file, a label file or a spec."""

    exit_code = EXIT_USAGE


class CorpusError(JobError):
    """The corpus cannot be listed, or is empty."""


class TableError(JobError):
    """The table cannot be read or written, or is not a featurelib table."""


class ModelError(JobError):
    """A model cannot be read, or is not featurelib's."""


class TableBusyError(JobError):
    """Another driver is writing the table."""

    exit_code = EXIT_BUSY


class ClusterError(JobError):
    """The cluster cannot be reached, was lost, or runs different code."""


class OutputError(JobError):
    """Standard output cannot be written."""


class HeldError(JobError):
    """A limit was exceeded, so nothing is published; extracted rows are kept."""

    exit_code = EXIT_HELD


class TerminatedError(BaseException):
    """SIGTERM ended the run; finished work is kept for the next run.

    A BaseException, like KeyboardInterrupt, so that ``except Exception`` does not swallow it.
    """

    exit_code = EXIT_TERMINATED


class ScratchError(JobError, OSError):
    """A temporary file cannot be written: `TMPDIR` is full, or there is no such folder.

    It is an OSError too, so that a single file that needs a temporary file fails as
    ``unreadable``, and the run goes on.
    """


class StorageError(OSError):
    """A storage operation failed, and no subclass of OSError fits."""


class ConflictError(StorageError):
    """A conditional write found another version than expected."""


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command that an error ended."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, JobError | TerminatedError):
        return error.exit_code
    import featurelib

    return EXIT_USAGE if isinstance(error, featurelib.SpecError) else EXIT_FAILED


def message_of(error: BaseException) -> str:
    """Return the message of an error that ended a command, for the user."""
    import featurelib

    if isinstance(error, KeyboardInterrupt):
        return "ended by Ctrl-C"
    if isinstance(error, JobError | TerminatedError | featurelib.FeaturelibError):
        return str(error)
    return f"unforeseen {type(error).__name__}: {error} (--debug shows where; please report it)"


def with_remedy(
    error: OSError, then: str = "run the same command again, which uses the finished work"
) -> str:
    """Return the text of an error of a storage; with the remedy if a disk is full."""
    text = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        text += f"; make room there and {then}"
    return text


#: Kinds of errors in the content of a file. Not retried until it changes, or with `retry_failed`.
CONTENT_KINDS = frozenset(
    {
        *("undecodable", "empty", "not_finite", "too_short", "too_long", "unsuitable"),
        "crashed",
    }
)

#: Kinds of errors in the environment of a file. Retried by the next run; never replace features.
ENVIRONMENT_KINDS = frozenset({"unreadable", "timed_out", "vanished"})
