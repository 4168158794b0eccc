"""What a worker staged of a shard before it died."""

from __future__ import annotations

from collections.abc import Container

import pyarrow as pa

from jobs.execution.context import TaskContext, form_of
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.storage.base import Store
from jobs.storage.parquet import open_parquet, read_groups
from jobs.table.schema import DURATION, ERROR_KIND, PATH
from jobs.table.signs import COLUMNS, signs_of
from jobs.table.staging import list_staged, read_outcomes


def recovered(
    context: TaskContext, shard: Shard, table: Store, known: Container[str]
) -> tuple[ShardResult, Shard]:
    """Return what was staged of a shard, and a shard of the files that are left.

    Only features count. A file that failed is extracted again, since its error may have come
    from what ended the worker.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.
    table : Store
        The table's store.
    known : container of str
        Names of the staged files that results have named.

    Raises
    ------
    OSError
        If the storage fails.
    """
    staged = list_staged(table, context.run_id).of_bucket(shard.bucket)
    unknown = [name for name in staged if name not in known]
    schema = form_of(context).schema
    wanted = {path for path, _ in shard.files}
    result, done = ShardResult(shard.bucket, shard=shard.name), set()
    for name, rows in read_outcomes(table, unknown, schema, context.origin).items():
        paths = rows[PATH].to_pylist()
        if not paths or not wanted.issuperset(paths):  # it is of another shard
            continue
        kinds = rows[ERROR_KIND].to_pylist()
        values = zip(*(rows[column].to_pylist() for column in COLUMNS), strict=True)
        for path, kind, of_file in zip(paths, kinds, values, strict=True):
            if kind is None and path not in done:
                done.add(path)
                result.signs += [(path, sign) for sign in signs_of(*of_file)]
        result.staged.append(name)
        with table.open(name)[0] as source:
            n_errors = sum(kind is not None for kind in kinds)
            file = open_parquet(source)
            result.n_rows += file.metadata.num_rows - n_errors
            result.audio_s += _audio_s(read_groups(file, [PATH, DURATION]))
    result.n_files = len(done)
    sizes = shard.sizes or (0,) * len(shard)
    of_done = (size for size, (path, _) in zip(sizes, shard.files, strict=True) if path in done)
    result.n_bytes = sum(of_done)
    left = [index for index, (path, _) in enumerate(shard.files) if path not in done]
    return result, shard.only(left)


def _audio_s(rows: pa.Table) -> float:
    """Return the duration of the audio of files, each of which may have many rows [s]."""
    durations = dict(zip(*(rows[name].to_pylist() for name in (PATH, DURATION)), strict=True))
    return sum(seconds or 0.0 for seconds in durations.values())
