"""The task of a worker: extract every file of a shard and stage its rows."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import featurelib
from jobs.corpus.formats import format_of, guessed_seconds
from jobs.errors import ClusterError, JobError, StorageError
from jobs.execution.costs import Timings
from jobs.execution.native import captured_output, keep_freed_memory
from jobs.execution.prefetch import Prefetch
from jobs.execution.sharding import Shard
from jobs.execution.version import code_version
from jobs.storage.base import Fetched, Store
from jobs.storage.listed import ListedStore
from jobs.storage.opening import open_store
from jobs.storage.parquet import to_parquet
from jobs.table.layout import TABLE_JSON
from jobs.table.schema import staged_schema
from jobs.table.signs import COLUMNS, signs_of
from jobs.table.staging import FileRows, Origin, StagingWriter

#: Yields the rows of a file, at least one, by channel and segment. It raises before the first.
Extractor = Callable[[Any, featurelib.FeatureSpec], Iterable[featurelib.Rows]]

#: Receives the number of kernels that are compiled, and of all that must be.
OnCompile = Callable[[int, int], None]

#: Topic of the events by which a Dask worker tells `OnCompile` values to the driver.
COMPILING = "featurelib-compiling"

_CONNECT_S = 10.0
_PREPARE_S = 120.0
_TRIES_AT_A_CHANGING_FILE = 3


@dataclass(frozen=True)
class TaskContext:
    """Parameters that all tasks of a run share.

    Locations and storage options may hold secrets.

    Attributes
    ----------
    run_id : str
        Name of the run.
    corpus, table : str
        Locations by which a worker opens the corpus and the table.
    spec : dict
        The spec as a dictionary.
    code_version : str
        Version of the driver's code, which the worker must have too.
    origin : Origin
        Origin in the metadata of staged files.
    corpus_options, table_options : dict
        Storage options for fsspec.
    is_list : bool
        Whether the corpus is a list, whose names may be URLs.
    file_timeout_s : float
        A file that takes longer fails as ``timed_out`` [s].
    prefetch_bytes : int
        Maximum size of the files read ahead.
    extractor : callable
        Extracts a file.
    sources : dict
        Source code of the user's own features, by the digests in the spec.
    """

    run_id: str
    corpus: str = field(repr=False)
    table: str = field(repr=False)
    spec: dict[str, Any]
    code_version: str
    origin: Origin
    corpus_options: dict[str, Any] = field(default_factory=dict, repr=False)
    table_options: dict[str, Any] = field(default_factory=dict, repr=False)
    is_list: bool = False
    file_timeout_s: float = 600.0
    prefetch_bytes: int = 64 * 2**20
    extractor: Extractor = featurelib.extract_rows
    sources: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Failure:
    """A file that got an error row.

    Attributes
    ----------
    path : str
        Stored path of the file.
    kind : str
        Kind of the error, see `jobs.errors`.
    message : str
        The cause, in one line.
    details : str
        A traceback if the error was not foreseen, else empty.
    """

    path: str
    kind: str
    message: str
    details: str = ""


@dataclass
class ShardResult:
    """The result of a shard: the names of staged files, and counts.

    Attributes
    ----------
    bucket : int
        The hash bucket.
    staged : list of str
        Names of the staged files.
    n_files : int
        Number of files with features.
    n_rows : int
        Number of feature rows.
    seconds : float
        Duration of the task [s].
    signs : list of tuple
        Path and sign of files (see `jobs.table.signs`).
    failures : list of Failure
        Files with an error row.
    timings : dict
        Guessed and measured seconds, by format.
    native_output : list of tuple
        Path of a file, and the output of native libraries while it was extracted.
    unfinished : Shard, optional
        Files left over after a hung file, for another task.
    is_hung : bool
        Whether a hung file still occupies a thread of the process.
    worker : str, optional
        Address of the Dask worker with a hung file.
    """

    bucket: int
    staged: list[str] = field(default_factory=list)
    n_files: int = 0
    n_rows: int = 0
    seconds: float = 0.0
    signs: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    timings: Timings = field(default_factory=dict)
    native_output: list[tuple[str, str]] = field(default_factory=list)
    unfinished: Shard | None = None
    is_hung: bool = False
    worker: str | None = None

    @property
    def kinds(self) -> Counter[str]:
        """Number of failures by kind."""
        return Counter(failure.kind for failure in self.failures)


def extract_shard(context: TaskContext, shard: Shard) -> ShardResult:
    """Extract the files of a shard and stage their rows; a file that fails gets an error row.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.

    Raises
    ------
    ClusterError
        If this process and the driver run different code, or a decoder does not work.
    OSError
        If a staged file cannot be written.
    """
    if context.code_version != code_version():
        raise ClusterError(
            f"a worker runs featurelib {code_version()} and the driver {context.code_version}:"
            " install the same version of the code and its libraries on both"
        )
    prepare(context)
    started = time.monotonic()
    spec = _spec_of(context)
    attempt = _Attempt(context, shard, spec)
    attempt.run()
    attempt.staging.flush()
    result = attempt.result
    result.staged = attempt.staging.names
    result.seconds = time.monotonic() - started
    return result


def prepare(context: TaskContext, on_compile: OnCompile | None = None) -> None:
    """Prepare this process for a run: check decoders, open connections, compile kernels.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    on_compile : callable, optional
        Receives the progress if kernels must be compiled, also from other threads.

    Raises
    ------
    ClusterError
        If a decoder does not work.
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
    if context.extractor is featurelib.extract_rows:
        spec = _spec_of(context)
        featurelib.warm_up(spec, on_compile=on_compile)
        # loads the Parquet writer, which is imported lazily
        to_parquet(staged_schema(featurelib.schema(spec)).empty_table())
    connecting.join(_CONNECT_S)
    _prepared_for["run"] = context.run_id


def _connect(context: TaskContext) -> None:
    with contextlib.suppress(OSError, JobError):  # the first file reports the error
        for store in _stores(context):
            store.stat([TABLE_JSON])  # of any name: it opens a connection


async def prepare_aside(context: TaskContext, dask_worker: Any = None) -> None:
    """Run `prepare` in a thread, for at most two minutes; the worker's event loop goes on.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    dask_worker : distributed.Worker
        Passed by Dask; its events `COMPILING` tell the driver the progress.
    """

    def on_compile(n_done: int, n_kernels: int) -> None:
        dask_worker.log_event(COMPILING, [n_done, n_kernels])

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(prepare, context, on_compile), _PREPARE_S)


_prepared_for: dict[str, str] = {}


def stage_crashed(context: TaskContext, shard: Shard, store: Store) -> ShardResult:
    """Write the error row of a file that killed its workers; the shard has only this file."""
    [(path, version)] = shard.files
    message = "the worker process died at this file, twice while it was alone"
    spec = _spec_of(context)
    staging = StagingWriter(store, shard.bucket, spec, context.run_id, context.origin)
    staging.add_error(path, version, shard.sizes[0] if shard.sizes else None, "crashed", message)
    staging.flush()
    failures = [Failure(path, "crashed", message)]
    return ShardResult(shard.bucket, staging.names, failures=failures)


class _Attempt:
    """One attempt at a shard, in a thread that is abandoned if a file hangs."""

    def __init__(self, context: TaskContext, shard: Shard, spec: featurelib.FeatureSpec) -> None:
        self._context, self._shard, self._spec = context, shard, spec
        self._store, table = _stores(context)
        self.staging = StagingWriter(table, shard.bucket, spec, context.run_id, context.origin)
        self.result = ShardResult(shard.bucket)
        self._changes = threading.Lock()
        self._abandoned = False
        self._n_done = 0
        self._current = 0  # index of the file that is extracted or fetched
        self._since = time.monotonic()
        self._error: BaseException | None = None
        self._prefetch: Prefetch | None = None

    def run(self) -> None:
        """Extract until the shard is done or a file exceeds the time limit."""
        # captured here, not in the thread, which may hang
        with captured_output() as drain:
            thread = threading.Thread(target=self._work, args=(drain,), name="extract", daemon=True)
            thread.start()
            try:
                is_hung = self._wait(thread)
            except BaseException:
                self._abandoned = True  # the rest of the shard is not needed any more
                raise
        if is_hung:
            return
        if self._error is not None:
            raise self._error

    def _wait(self, thread: threading.Thread) -> bool:
        """Wait for the thread; return whether it was abandoned because a file hangs."""
        while True:
            limit = self._since + self._context.file_timeout_s
            thread.join(max(0.01, limit - time.monotonic()))
            if not thread.is_alive():
                return False
            with self._changes:
                if time.monotonic() - self._since >= self._context.file_timeout_s:
                    self._abandon()
                    return True

    def _abandon(self) -> None:
        self._abandoned = True
        files, sizes = self._shard.files, self._shard.sizes
        prefetch = self._prefetch
        overdue = prefetch.overdue(self._context.file_timeout_s) if prefetch is not None else None
        hung = self._current if overdue is None else overdue
        path, version = files[hung]
        message = f"not done after {self._context.file_timeout_s:g} s (file_timeout_s)"
        self._add_failure(Failure(path, "timed_out", message), version, None)
        done, after = self._n_done, hung + 1
        if files[done:hung] or files[after:]:
            self.result.unfinished = Shard(
                self._shard.bucket,
                files[done:hung] + files[after:],
                sizes[done:hung] + sizes[after:],
            )
        _corpus_store.cache_clear()  # the hung thread may keep their connections forever
        _store.cache_clear()
        self.result.is_hung = True

    def _work(self, drain: Callable[[], str]) -> None:
        try:
            prefetch = Prefetch(self._store, self._shard, self._context.prefetch_bytes, self._touch)
            with prefetch as self._prefetch:
                sizes = self._shard.sizes or (0,) * len(self._shard)
                for index, (path, version) in enumerate(self._shard.files):
                    with self._changes:
                        if self._abandoned:
                            return
                        self._n_done = index
                    started = time.monotonic()
                    self._extract(index, path, version)
                    self._note_time(path, sizes[index], time.monotonic() - started)
                    with self._changes:
                        if not self._abandoned and (text := drain()):
                            self.result.native_output.append((path, text))
        except BaseException as error:  # noqa: BLE001 - raised again by `run`, in the task's thread
            self._error = error
        finally:
            self._prefetch = None  # a reference cycle would keep all rows in memory for a while

    def _touch(self, index: int) -> None:
        with self._changes:
            self._current, self._since = index, time.monotonic()

    def _note_time(self, path: str, size: int, seconds: float) -> None:
        guessed, measured = self.result.timings.get(format_of(path), (0.0, 0.0))
        self.result.timings[format_of(path)] = (
            guessed + guessed_seconds(path, size),
            measured + seconds,
        )

    def _extract(self, index: int, path: str, listed: str) -> None:
        fetched: Fetched | None = None
        rows: FileRows | None = None
        kind, message, details = "", "", ""
        try:
            assert self._prefetch is not None
            fetched = self._prefetch.take(index)
            self._touch(index)
            for _ in range(_TRIES_AT_A_CHANGING_FILE):
                rows = self.staging.file(path, fetched.version, fetched.size)
                signs = self._extract_rows(fetched, rows)
                if signs is not None:
                    break
                rows.close()
                fetched.close()
                fetched = self._store.fetch(path)
            else:
                raise StorageError("the file keeps changing while it is read")  # noqa: TRY301
        except featurelib.AudioError as error:
            kind, message = error.kind, str(error)
        except OSError as error:
            kind, message = _environment_kind(error), _one_line(error)
        except MemoryError as error:
            kind, message = "crashed", f"not enough memory: {_one_line(error)}"
        except Exception as error:  # noqa: BLE001 - other files must not suffer from a defect in one
            kind = "crashed"
            message = f"unforeseen {type(error).__name__}: {_one_line(error)}"
            details = traceback.format_exc()
        else:
            with self._changes:
                if not self._abandoned:
                    # may write a staged file; under the lock, so that its time does not count
                    # for the next file
                    self.staging.add_file(rows)
                    self.result.n_files += 1
                    self.result.n_rows += rows.n_rows
                    self.result.signs += [(path, sign) for sign in signs]
                    self._since = time.monotonic()
            return
        finally:
            if rows is not None:
                rows.close()
            if fetched is not None:
                fetched.close()
        with self._changes:
            if not self._abandoned:
                version = fetched.version if fetched else listed
                size = fetched.size if fetched else None
                self._add_failure(Failure(path, kind, message, details), version, size)

    def _extract_rows(self, fetched: Fetched, rows: FileRows) -> list[str] | None:
        """Collect the rows of a file; return its signs, or None if it changed meanwhile."""
        signs: list[str] = []
        try:
            for batch in self._context.extractor(fetched.source, self._spec):
                if not rows.n_rows:
                    signs = signs_of(*(batch.first(name) for name in COLUMNS))
                rows.add(batch)
            rows.end()
        except featurelib.AudioError:
            if fetched.is_unchanged():
                raise
            return None  # a mixture of two versions cannot be decoded
        return signs if fetched.is_unchanged() else None

    def _add_failure(self, failure: Failure, version: str, size: int | None) -> None:
        self.staging.add_error(failure.path, version, size, failure.kind, failure.message)
        self.result.failures.append(failure)


def _environment_kind(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "vanished"
    return "timed_out" if isinstance(error, TimeoutError) else "unreadable"


def _one_line(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return " ".join(str(strerror or error).split()) or type(error).__name__


def _spec_of(context: TaskContext) -> featurelib.FeatureSpec:
    """Return the spec of a run; each process makes it once."""
    if context.run_id not in _specs:
        _specs.clear()
        _specs[context.run_id] = featurelib.FeatureSpec.from_dict(
            context.spec, sources=context.sources
        )
    return _specs[context.run_id]


_specs: dict[str, featurelib.FeatureSpec] = {}


def _key(options: dict[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


def _stores(context: TaskContext) -> tuple[Store, Store]:
    """Return the stores of the corpus and the table; each process opens them once."""
    return (
        _corpus_store(context.corpus, _key(context.corpus_options), context.is_list),
        _store(context.table, _key(context.table_options)),
    )


@functools.lru_cache(maxsize=4)
def _store(location: str, options: str) -> Store:
    return open_store(location, json.loads(options), retry_connect=True)


@functools.lru_cache(maxsize=4)
def _corpus_store(location: str, options: str, is_list: bool) -> Store:
    store = _store(location, options)
    return ListedStore(store, json.loads(options)) if is_list else store
