"""The task of a worker: extract every file of a shard and stage its rows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import featurelib
from jobs.errors import ClusterError, JobError
from jobs.execution.attempt import Attempt, OnFile, never
from jobs.execution.context import TaskContext, form_of, spec_of, stores_of
from jobs.execution.memory import resident_bytes
from jobs.execution.native import keep_freed_memory
from jobs.execution.results import Failure, ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.version import code_version
from jobs.storage.base import Store
from jobs.storage.parquet import to_parquet
from jobs.storage.retry import take_retries
from jobs.table.layout import TABLE_JSON
from jobs.table.staging import StagingWriter

#: Receives the number of kernels that are compiled, and of all that must be.
OnCompile = Callable[[int, int], None]

#: How long a process may take to load libraries and compile kernels [s].
PREPARE_S = 180.0

_CONNECT_S = 10.0


def ignore_file(path: str) -> None:
    """Do nothing: for tasks whose progress nobody watches."""


def extract_shard(
    context: TaskContext,
    shard: Shard,
    on_file: OnFile = ignore_file,
    is_over: Callable[[], bool] = never,
) -> ShardResult:
    """Extract the files of a shard and stage their rows; a file that fails gets an error row.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.
    on_file : callable, optional
        Called with the path of each file that is opened or extracted, in any thread.
    is_over : callable, optional
        Asked after each file whether the others are left to another task.

    Raises
    ------
    ClusterError
        If this process and the driver run different code, or a decoder does not work.
    TableError
        If a staged file cannot be written.
    """
    check_code(context)
    prepare(context)
    started = time.monotonic()
    result = Attempt(context, shard, on_file, is_over).run()
    result.seconds = time.monotonic() - started
    result.retries = take_retries()
    return result


def check_code(context: TaskContext) -> None:
    """Check that this process runs the driver's code.

    Raises
    ------
    ClusterError
        If it runs other code.
    """
    if context.code_version != code_version():
        raise ClusterError(
            f"a worker runs featurelib {code_version()} and the driver {context.code_version}:"
            " install the same version of the code and its libraries on both"
        )


def prepare(
    context: TaskContext,
    on_compile: OnCompile | None = None,
    memory_limit: int | None = None,
) -> None:
    """Prepare this process for a run: check decoders, open connections, compile kernels.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    on_compile : callable, optional
        Receives the progress if kernels must be compiled, also from other threads.
    memory_limit : int, optional
        Memory that this process may use, in bytes.

    Raises
    ------
    ClusterError
        If a decoder does not work, or the memory is not enough for any file.
    """
    if context.run_id == _prepared_for.get("run"):
        return
    try:
        featurelib.check_decoders()
    except featurelib.DecoderError as error:
        raise ClusterError(f"a worker cannot decode: {error}") from error
    keep_freed_memory()
    connecting = threading.Thread(target=_connect, args=(context,), name="connect", daemon=True)
    connecting.start()
    is_real = context.extractor is featurelib.extract_rows
    if context.product is not None:
        try:
            context.product.prepare(on_compile)
        except featurelib.MissingExtraError as error:
            raise ClusterError(f"on a worker, {error}") from error
    elif is_real:
        featurelib.warm_up(spec_of(context), on_compile=on_compile)
    if is_real:
        # loads the Parquet writer, which is imported lazily
        to_parquet(form_of(context).schema.empty_table())
    connecting.join(_CONNECT_S)
    if memory_limit is not None and (used := resident_bytes()) > memory_limit:
        raise ClusterError(
            f"a worker needs {used / 1e6:.0f} MB of memory before its first file, and may use"
            f" {memory_limit / 1e6:.0f} MB: give it more with --worker-memory"
        )
    _prepared_for["run"] = context.run_id


def _connect(context: TaskContext) -> None:
    with contextlib.suppress(OSError, JobError):  # the first file reports the error
        for store in stores_of(context):
            store.stat([TABLE_JSON])  # of any name: it opens a connection


_prepared_for: dict[str, str] = {}


def stage_failure(
    context: TaskContext, shard: Shard, table: Store, kind: str, message: str
) -> ShardResult:
    """Write the error row of a file that could not be extracted; the shard has only this file."""
    [(path, version)] = shard.files
    staging = StagingWriter(table, shard.bucket, form_of(context), context.run_id, context.origin)
    size = shard.sizes[0] if shard.sizes else None
    staging.add_error(path, version, size, kind, message, shard.label_of(0))
    staging.flush()
    failures = [Failure(path, kind, message)]
    return ShardResult(shard.bucket, staging.names, failures=failures, shard=shard.name)
