"""What can end a run, each with the exit code that the command gives for it."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_HELD = 3
EXIT_BUSY = 75
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class JobError(Exception):
    """A run ended for a reason that its user can act on; the message is one line."""

    exit_code = EXIT_FAILED


class UsageError(JobError):
    """The request itself is wrong: an option, a settings file, a label file, a spec."""

    exit_code = EXIT_USAGE


class CorpusError(JobError):
    """The corpus cannot be listed, or there is nothing in it."""


class TableError(JobError):
    """The table cannot be read or written, or is not one of ours."""


class TableBusyError(JobError):
    """Another driver is alive and writing this table."""

    exit_code = EXIT_BUSY


class ClusterError(JobError):
    """The cluster cannot be reached, was lost, or runs another version of the code."""


class HeldError(JobError):
    """A limit holds the commit back; what was extracted is kept."""

    exit_code = EXIT_HELD


class TerminatedError(BaseException):
    """SIGTERM arrived; what was finished is kept for the next run."""

    # like KeyboardInterrupt no Exception: nothing that handles failures may take it for one
    exit_code = EXIT_TERMINATED


class StorageError(OSError):
    """A storage operation failed in a way that is not one of OSError's own kinds."""


class ConflictError(StorageError):
    """A conditional write found something else than what it was told to replace."""


#: Kinds of errors of the file itself: not tried again until the file changes or `retry_failed`.
CONTENT_KINDS = frozenset(
    {
        *("undecodable", "empty", "not_finite", "too_short", "too_long", "unsuitable"),
        "crashed",
    }
)

#: Kinds of errors around the file: tried again by the next run, and never replace a good row.
ENVIRONMENT_KINDS = frozenset({"unreadable", "timed_out", "vanished"})
