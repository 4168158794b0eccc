"""The driver's books for very many files: list, plan, merge, verify; nothing is decoded.

The corpus is a list (Parquet) that states size and version of each file; a folder of empty files,
for each of which the operating system is asked; a list of files none of which can be read; or a
bucket, of which a service on loopback lists a page after 50 ms. No file is opened: the stub below
stages a row for each. So all steps but ``extract`` are the program's own. They are measured for a
tenth of the files, too: a step that is linear takes ten times as long for all.

``python -m tests.benchmarks scale 200000 files`` takes fewer files, in a folder. Of a bucket
(``10000000 s3``) the files are only listed and planned.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import featurelib
from jobs.diagnostics.events import Event, PartWritten, StepEnded, StepStarted
from jobs.execution.context import TaskContext
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.request import RunRequest
from jobs.run import plan_job, run_job
from jobs.settings import Settings
from jobs.status import table_status
from jobs.storage.base import Store
from jobs.storage.opening import open_store
from jobs.storage.parquet import Writer
from jobs.table.layout import staged_name
from jobs.table.schema import staged_schema
from tests.benchmarks.timing import in_own_process, ratio, timed
from tests.support.memory import forget_peak, peak_bytes

_FILES = 1_000_000
_LABELS = 10
_FILES_A_FOLDER = 1000
_CHANGED = 100
_SPEC = featurelib.get_spec("genre-v1")
_AIM_MIB = {"s3": 2048}
_DELAY_S = 0.05


class _Cost(NamedTuple):
    """What a step took: time, processor time of this process, and peak memory [MiB]."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


_Steps = dict[str, _Cost]


def run(folder: Path, n_files: int = _FILES, kind: str = "list") -> None:
    """Measure runs over a tenth of the files and over all; print seconds, memory and slopes."""
    measure = _measure_bucket if kind == "s3" else _measure_runs
    few = measure(folder / "few", n_files // 10, kind)
    many = measure(folder / "many", n_files, kind)
    print(f"  processor time for {n_files} files / for {n_files // 10} (10: linear)")
    for name, steps in many.items():
        for step, cost in steps.items():
            if cost.cpu_seconds > 0.5:
                print(ratio(f"{name}: {step}", cost.cpu_seconds / few[name][step].cpu_seconds))
        peaks = [max(cost.peak_mib for cost in found[name].values()) for found in (few, many)]
        print(ratio(f"{name}: peak memory", peaks[1] / peaks[0]))


def _measure_runs(folder: Path, n_files: int, kind: str) -> dict[str, _Steps]:
    folder.mkdir()
    print(f"{n_files} files of {_LABELS} labels ({kind}), whose rows a stub stages")
    make = _make_files if kind == "files" else _make_list
    print(f"    made in {timed(lambda: make(folder, n_files)):.1f} s")
    found = {}
    changes = [] if kind == "files" else [f"{_CHANGED} changed"]
    for name in ("first run", "nothing new", *changes, "status"):
        if name in changes:
            _change(folder / "corpus" / "list.parquet")
        steps, n_parts, n_bytes = in_own_process(_run, folder, name, n_files, kind == "errors")
        found[name] = steps
        _show(name, steps, n_files, _AIM_MIB.get(kind, 1024))
        if n_parts:
            print(f"    {n_parts} parts of {n_bytes / 1e6:.1f} MB written")
    return found


def _measure_bucket(folder: Path, n_files: int, kind: str) -> dict[str, _Steps]:
    folder.mkdir()
    print(f"{n_files} files of a bucket, of which a page is listed after {_DELAY_S} s")
    arguments = [sys.executable, "-m", "tests.benchmarks.listing_service"]
    with subprocess.Popen(
        [*arguments, str(n_files), "deep", str(_DELAY_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as service:
        assert service.stdout is not None
        endpoint = f"http://127.0.0.1:{int(service.stdout.readline())}"
        steps = in_own_process(_plan, folder, endpoint, n_files)
        few = min(n_files, 300_000)
        alone, together = (in_own_process(_list, endpoint, n, few) for n in (1, 16))
        print(ratio(f"first {few} files: one request at a time / several", alone / together))
        service.communicate()
    _show("plan", steps, n_files, _AIM_MIB[kind])
    return {"plan": steps}


def _show(name: str, steps: _Steps, n_files: int, aim_mib: int) -> None:
    seconds = sum(cost.seconds for step, cost in steps.items() if step != "extract")
    print(f"  {name}: {seconds:.1f} s, {1e6 * seconds / n_files:.1f} us a file")
    for step, (wall, cpu, peak) in steps.items():
        each = 1e6 * cpu / n_files
        print(
            f"    {step:<9} {wall:8.2f} s {cpu:8.2f} s CPU, {each:6.1f} us a file {peak:6.0f} MiB"
        )
    peak = max(cost.peak_mib for cost in steps.values())
    print(ratio(f"{name}: peak memory of the driver [MiB]", peak, f"at most {aim_mib}"))


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


def _change(path: Path) -> None:
    """Change some files of a list, far from each other."""
    rows = pq.read_table(path)
    chosen = np.arange(_CHANGED)
    is_changed = np.zeros(len(rows), bool)
    is_changed[chosen * (len(rows) // _CHANGED) + chosen % _LABELS] = True
    tags = pc.if_else(pa.array(is_changed), "changed", rows["etag"])
    pq.write_table(rows.set_column(rows.column_names.index("etag"), "etag", tags), path)


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


def _run(folder: Path, name: str, n_files: int, are_errors: bool) -> tuple[_Steps, int, int]:
    """Return the steps of a run, and the number and size [byte] of the parts that it wrote."""
    clock = _Clock()
    if name == "status":
        table_status(str(folder / "table"), {})
        return {name: clock.lap()}, 0, 0
    listed = folder / "corpus" / "list.parquet"
    is_list = listed.exists()
    settings = Settings(reader_grace_s=0.0, labels="none" if is_list else "parent", max_failed=1.0)
    corpus, table = listed if is_list else folder / "corpus", folder / "table"
    request = RunRequest(str(corpus), str(table), _SPEC, settings)
    written: list[str] = []

    def note(event: Event) -> None:
        clock.notice(event)
        if isinstance(event, PartWritten):
            written.append(event.part)

    report = run_job(request, lambda: _stub(are_errors), note)
    assert report.n_files + report.n_errors == n_files
    assert (report.n_errors == n_files) == are_errors
    return clock.steps, len(written), sum((table / part).stat().st_size for part in written)


def _plan(folder: Path, endpoint: str, n_files: int) -> _Steps:
    """Return the steps of a plan of a bucket."""
    options = [f"corpus:{k}={v}" for k, v in _options(endpoint).items()]
    settings = Settings(storage_options=tuple(options), labels="none")
    request = RunRequest("s3://corpus", str(folder / "table"), _SPEC, settings)
    clock = _Clock()
    report = plan_job(request, clock.notice)
    assert report.counts.total() == n_files
    return {"list and plan": clock.lap()}


def _options(endpoint: str) -> dict[str, Any]:
    return {"key": "k", "secret": "s", "endpoint_url": endpoint}


def _list(endpoint: str, n_at_once: int, n_files: int) -> float:
    """Return the seconds that a listing takes to find so many files."""
    store = open_store("s3://corpus", {**_options(endpoint), "list_at_once": n_at_once})
    pages = store.scan()
    found = len(next(pages))  # connects
    started = time.perf_counter()
    while found < n_files:
        found += len(next(pages))
    return time.perf_counter() - started


class _Clock:
    """Measures steps, by the events of a run."""

    def __init__(self) -> None:
        self.steps: _Steps = {}
        self._begin()

    def _begin(self) -> None:
        self._started = time.perf_counter(), time.process_time()
        forget_peak()

    def lap(self) -> _Cost:
        """Return what it took since the last call, or the beginning."""
        now = time.perf_counter(), time.process_time()
        wall, cpu = (after - before for after, before in zip(now, self._started, strict=True))
        cost = _Cost(wall, cpu, peak_bytes() / 2**20)
        self._begin()
        return cost

    def notice(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._add("other")
        elif isinstance(event, StepEnded):
            self._add(event.step)

    def _add(self, name: str) -> None:
        before = self.steps.get(name, _Cost(0.0, 0.0, 0.0))
        new = self.lap()
        self.steps[name] = _Cost(
            before.seconds + new.seconds,
            before.cpu_seconds + new.cpu_seconds,
            max(before.peak_mib, new.peak_mib),
        )


@contextlib.contextmanager
def _stub(are_errors: bool) -> Iterator[_StubExecutor]:
    yield _StubExecutor(are_errors)


class _StubExecutor:
    """Stages a row of random numbers for each file, or an error, without opening it."""

    def __init__(self, are_errors: bool) -> None:
        self._schema = staged_schema(featurelib.schema(_SPEC))
        self._random = np.random.default_rng(0)
        self._are_errors = are_errors

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
            n_good = 0 if self._are_errors else len(shard)
            yield ShardResult(shard.bucket, [name], len(shard), n_good)

    def _rows(self, context: TaskContext, shard: Shard, schema: pa.Schema) -> pa.Table:
        n = len(shard)
        known = {
            "path": [path for path, _ in shard.files],
            "source_version": [version for _, version in shard.files],
            "size_bytes": shard.sizes,
            "spec_fingerprint": [_SPEC.fingerprint] * n,
            "run_id": [context.run_id] * n,
        }
        if self._are_errors:
            known |= {"error_kind": ["undecodable"] * n, "message": ["made for a benchmark"] * n}
        else:
            whole = {"segment": [0] * n, "decoding": ["whole"] * n, "is_silent": [False] * n}
            known |= whole
        columns = []
        for field in schema:
            if field.name in known:
                columns.append(pa.array(known[field.name], field.type))
            elif pa.types.is_float32(field.type) and not self._are_errors:
                columns.append(pa.array(self._random.random(n, np.float32)))
            else:
                columns.append(pa.nulls(n, field.type))
        return pa.Table.from_arrays(columns, schema=schema)
