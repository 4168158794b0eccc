"""The `Executor` protocol, and the executor that runs in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from jobs.diagnostics.events import Observer, ignore
from jobs.execution.context import TaskContext
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.task import OnCompile, extract_shard, prepare
from jobs.storage.base import Store


class Executor(Protocol):
    """Runs the extraction of shards."""

    def n_workers(self) -> int:
        """Return the current number of shards that can be extracted at once."""

    def prepare(self, context: TaskContext, on_compile: OnCompile) -> None:
        """Let the workers load libraries and compile kernels before the first file.

        Parameters
        ----------
        context : TaskContext
            Parameters of the run.
        on_compile : callable
            Receives the number of kernels that are compiled, and of all that must be.
        """

    def run(
        self,
        context: TaskContext,
        shards: Iterable[Shard],
        table: Store,
        notify: Observer = ignore,
    ) -> Iterator[ShardResult]:
        """Extract shards; yield their results in order of completion.

        Parameters
        ----------
        context : TaskContext
            Parameters of the run.
        shards : iterable of Shard
            The shards, taken one by one as workers become free.
        table : Store
            The table's store, for error rows that the driver writes.
        notify : callable, optional
            Observer of what happens meanwhile: notes, and what the run waits for.

        Raises
        ------
        JobError
            If the run cannot continue.
        """


#: Returns a context manager for an executor.
OpenExecutor = Callable[[], AbstractContextManager[Executor]]


class InlineExecutor:
    """Extracts shards in the calling process, one after another."""

    def n_workers(self) -> int:
        """Return 1."""
        return 1

    def prepare(self, context: TaskContext, on_compile: OnCompile) -> None:
        """Prepare this process."""
        prepare(context, on_compile)

    def run(
        self,
        context: TaskContext,
        shards: Iterable[Shard],
        table: Store,
        notify: Observer = ignore,
    ) -> Iterator[ShardResult]:
        """Extract shards; yield their results in order."""
        for shard in shards:
            remaining: Shard | None = shard
            while remaining is not None:
                result = extract_shard(context, remaining)
                yield result
                remaining = result.unfinished
