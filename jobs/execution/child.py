"""The process that extracts suspects: a child of a worker, which dies with it.

It gets its `TaskContext` and then shards over a connection. It tells the path of each file
before it opens or extracts it, so that its parent knows the file that ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from jobs.errors import JobError

_PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


def main(descriptor: int, parent: int) -> None:
    """Extract the shards that come over a connection, until it is closed.

    Parameters
    ----------
    descriptor : int
        File descriptor of the connection.
    parent : int
        Process ID of the parent.
    """
    die_with(parent)
    connection = Connection(descriptor)
    try:
        _work(connection)
    except EOFError:  # there are no more shards
        return
    except (JobError, OSError) as error:
        _tell(connection, error)
    except Exception as error:  # noqa: BLE001 - the parent raises it
        _tell(connection, RuntimeError(f"{type(error).__name__}: {error}"))


def _work(connection: Connection) -> None:
    context, memory_limit = pickle.loads(connection.recv_bytes())
    from jobs.execution.task import check_code, extract_shard, prepare

    check_code(context)
    prepare(context, memory_limit=memory_limit)
    connection.send(("ready", None))
    while True:
        shard = connection.recv()
        result = extract_shard(context, shard, lambda path: connection.send(("file", path)))
        connection.send(("done", result))


def _tell(connection: Connection, error: Any) -> None:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its class does; the file would be blamed for it
        error = RuntimeError(f"{type(error).__name__}: {error}")
    with contextlib.suppress(OSError):  # the parent is gone
        connection.send(("error", error))


def die_with(parent: int) -> None:
    """Let the system end this process with its parent, and before its parent if memory is short."""
    with contextlib.suppress(OSError, AttributeError):  # not on Linux: the connection breaks
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its memory would be written to the disk


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
