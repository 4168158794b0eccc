"""What runs shards: the protocol, and this process itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from jobs.execution.sharding import Shard
from jobs.execution.task import (
    ShardResult,
    TaskContext,
    extract_shard,
    prepare,
)
from jobs.storage.base import Store


class Executor(Protocol):
    """Something that extracts shards."""

    def n_workers(self) -> int:
        """Return how many shards are worked on at once."""

    def prepare(self, context: TaskContext) -> None:
        """Have the workers load and compile what they need, before files wait for it."""

    def run(
        self, context: TaskContext, shards: Iterable[Shard], table: Store
    ) -> Iterator[ShardResult]:
        """Yield the shards' results as they come.

        Raises
        ------
        JobError
            If the work cannot go on.
        """


class InlineExecutor:
    """Extracts in the calling process, one shard after the other."""

    def n_workers(self) -> int:
        return 1

    def prepare(self, context: TaskContext) -> None:
        prepare(context)

    def run(
        self, context: TaskContext, shards: Iterable[Shard], table: Store
    ) -> Iterator[ShardResult]:
        for shard in shards:
            rest: Shard | None = shard
            while rest is not None:
                result = extract_shard(context, rest)
                yield result
                rest = result.unfinished
