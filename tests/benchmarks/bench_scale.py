"""The driver's books for very many files: list, plan, merge, verify; nothing is decoded.

The corpus is a list (Parquet) that states size and version of each file, as S3 Inventory does, or
a folder of empty files, for each of which the operating system is asked. No file is opened: the
stub below stages a row for each. So all steps but ``extract`` are the program's own.
``python -m tests.benchmarks scale 200000 files`` takes fewer files, in a folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import featurelib
from jobs.diagnostics.events import Event, StepEnded
from jobs.execution.context import TaskContext
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from jobs.status import table_status
from jobs.storage.base import Store
from jobs.storage.parquet import Writer
from jobs.table.layout import staged_name
from jobs.table.schema import staged_schema
from tests.benchmarks.timing import in_own_process, ratio, timed
from tests.support.memory import peak_bytes

_FILES = 1_000_000
_LABELS = 10
_FILES_A_FOLDER = 1000
_SPEC = featurelib.get_spec("genre-v1")
_AIM_MIB = 600


def run(folder: Path, n_files: int = _FILES, kind: str = "list") -> None:
    """Measure a first run, one with nothing new, and status; print seconds and memory."""
    make = {"list": _make_list, "files": _make_files}[kind]
    print(f"{n_files} files of {_LABELS} labels ({kind}), whose rows a stub stages")
    print(f"    made in {timed(lambda: make(folder, n_files)):.1f} s")
    for name in ("first run", "nothing new", "status"):
        steps, peak = in_own_process(_run, folder, name, n_files)
        seconds = sum(s for step, s in steps.items() if step != "extract")
        print(f"  {name}: {1e6 * seconds / n_files:.1f} us a file, peak {peak:.0f} MiB")
        for step, value in steps.items():
            print(f"    {step:<10} {value:8.2f} s {1e6 * value / n_files:8.1f} us a file")
        print(ratio(f"{name}: peak memory of the driver [MiB]", peak, f"at most {_AIM_MIB}"))


def _make_list(folder: Path, n_files: int) -> None:
    (folder / "corpus").mkdir()
    numbers = range(n_files)
    columns = {
        "path": [f"{i // 10_000:04d}/label-{i % _LABELS}/{i:07d}.wav" for i in numbers],
        "size": [1_000_000 + i for i in numbers],
        "etag": [f"{i * 0x9E3779B97F4A7C15 % 2**128:032x}" for i in numbers],
        "label": [f"label-{i % _LABELS}" for i in numbers],
    }
    pq.write_table(pa.table(columns), folder / "corpus" / "list.parquet")


def _make_files(folder: Path, n_files: int) -> None:
    corpus = folder / "corpus"
    for number in range(0, n_files, _FILES_A_FOLDER):
        index = number // _FILES_A_FOLDER
        below = corpus / f"{index // _LABELS:04d}" / f"label-{index % _LABELS}"
        below.mkdir(parents=True)
        place = os.open(below, os.O_RDONLY)
        for i in range(number, min(number + _FILES_A_FOLDER, n_files)):
            os.close(os.open(f"{i:07d}.wav", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=place))
        os.close(place)


def _run(folder: Path, name: str, n_files: int) -> tuple[dict[str, float], float]:
    """Return the seconds of each step and the peak memory [MiB]."""
    steps: dict[str, float] = {}
    if name == "status":
        steps[name] = timed(lambda: table_status(str(folder / "table"), {}))
    else:
        listed = folder / "corpus" / "list.parquet"
        is_list = listed.exists()
        settings = Settings(reader_grace_s=0.0, labels="none" if is_list else "parent")
        corpus = listed if is_list else folder / "corpus"
        request = RunRequest(str(corpus), str(folder / "table"), _SPEC, settings)

        def note(event: Event) -> None:
            if isinstance(event, StepEnded):
                steps[event.step] = event.seconds

        started = time.perf_counter()
        report = run_job(request, _stub, note)
        whole = time.perf_counter() - started
        steps["other"] = whole - sum(steps.values())
        assert (report.n_files, report.n_rows, report.n_errors) == (n_files, n_files, 0)
        assert report.parts_written == 0 or name == "first run"
    return steps, peak_bytes() / 2**20


@contextlib.contextmanager
def _stub() -> Iterator[_StubExecutor]:
    yield _StubExecutor()


class _StubExecutor:
    """Stages a row of random numbers for each file, without opening it."""

    def __init__(self) -> None:
        self._schema = staged_schema(featurelib.schema(_SPEC))
        self._random = np.random.default_rng(0)

    def n_workers(self) -> int:
        return 2

    def prepare(self, context: TaskContext, on_compile: object) -> None:
        pass

    def run(
        self, context: TaskContext, shards: Iterable[Shard], table: Store, notify: object
    ) -> Iterator[ShardResult]:
        schema = self._schema.with_metadata(context.origin.metadata())
        for shard in shards:
            name, sink = staged_name(context.run_id, shard.bucket), io.BytesIO()
            with Writer(sink, schema) as writer:
                writer.write(self._rows(context, shard, schema))
            table.replace(name, sink)
            yield ShardResult(shard.bucket, [name], len(shard), len(shard))

    def _rows(self, context: TaskContext, shard: Shard, schema: pa.Schema) -> pa.Table:
        n = len(shard)
        known = {
            "path": [path for path, _ in shard.files],
            "source_version": [version for _, version in shard.files],
            "size_bytes": shard.sizes,
            "spec_fingerprint": [_SPEC.fingerprint] * n,
            "run_id": [context.run_id] * n,
            "segment": [0] * n,
            "decoding": ["whole"] * n,
            "is_silent": [False] * n,
        }
        columns = []
        for field in schema:
            if field.name in known:
                columns.append(pa.array(known[field.name], field.type))
            elif pa.types.is_float32(field.type):
                columns.append(pa.array(self._random.random(n, np.float32)))
            else:
                columns.append(pa.nulls(n, field.type))
        return pa.Table.from_arrays(columns, schema=schema)
