"""The whole job over tracks: what of two workers' time goes into extraction, locally and on S3."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil

import featurelib
from jobs import RunReport, extract_corpus
from jobs.execution.native import keep_freed_memory
from tests.benchmarks.signals import tracks
from tests.benchmarks.timing import in_own_process, ratio

_FILES = 400
_TIMED = 60
_WORKERS = 2
_LATENCY_S = 0.05
_TURNS = 3
_OWN_AIM = "at most 1.15"
_BUCKET = "featurelib-bench"
_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


def run(folder: Path) -> None:
    """Measure, check that every file has its row, and print."""
    keep_freed_memory()  # as in a worker
    featurelib.warm_up("genre-v1")
    for suffix in (".flac", ".mp3"):
        print(f"the job, genre-v1, {_FILES} {suffix[1:].upper()} files of 30 s, 44.1 kHz stereo")
        corpus = folder / suffix[1:]
        paths = tracks(corpus, _FILES, suffix)
        before = _seconds_a_file(paths)
        report = extract_corpus(corpus, folder / f"table{suffix}", workers=_WORKERS)
        wall = _extract_seconds(report)
        each = (before + _seconds_a_file(paths)) / 2
        print(f"    one core, one process      {1000 * each:8.1f} ms a file")
        print(f"    {_WORKERS} workers, extract phase   {wall:8.1f} s, {_FILES / wall:.1f} files/s")
        print(_efficiency(each, wall, "local", "at least 0.92"))
        if suffix == ".mp3":
            _on_s3(paths, each, wall)


def _on_s3(paths: list[Path], each: float, local_wall: float) -> None:
    with _server() as name:
        client = boto3.client("s3")
        client.create_bucket(Bucket=_BUCKET)
        with ThreadPoolExecutor(8) as pool:
            upload = lambda path: client.upload_file(str(path), _BUCKET, f"corpus/{path.name}")  # noqa: E731
            list(pool.map(upload, paths))
        place = f"s3://{_BUCKET}"
        print(f"    the same from S3 ({name}), {1000 * _LATENCY_S:g} ms a request")
        before = _servers_cpu()
        report = extract_corpus(f"{place}/corpus", f"{place}/table", workers=_WORKERS)
        wall, servers = _extract_seconds(report), _servers_cpu() - before
        print(f"    {_WORKERS} workers, extract phase   {wall:8.1f} s, {_FILES / wall:.1f} files/s")
        print(f"    server and slow line, on the same two cores   {servers:8.1f} s")
        print(_efficiency(each, wall, "S3", "at least 0.85"))
        print(ratio("throughput from S3 / local", local_wall / wall))
        _on_cores_of_their_own(str(paths[0].parent), place)
        _empty(client)


def _on_cores_of_their_own(corpus: str, place: str) -> None:
    """Compare one worker on a core with the server on another, and one with local files."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("    only one core: the server has none of its own")
        return
    for child in psutil.Process().children():
        child.cpu_affinity(cores[1:])
    walls: dict[str, list[float]] = {corpus: [], f"{place}/corpus": []}
    for turn in range(_TURNS):
        for of in walls:
            table = f"{of}-table-{turn}"
            walls[of].append(in_own_process(_wall_on_core, cores[0], of, table))
    local, far = map(statistics.median, walls.values())
    print("    1 worker and the driver on one core, the server on others")
    print(f"    extract phase              {local:8.1f} s local, {far:.1f} s S3")
    print(ratio("wall time from S3 / local, server on cores of its own", far / local, _OWN_AIM))


def _wall_on_core(core: int, corpus: str, table: str) -> float:
    """Return the seconds of extraction with one worker, all on one core."""
    os.sched_setaffinity(0, {core})
    return _extract_seconds(extract_corpus(corpus, table, workers=1))


def _servers_cpu() -> float:
    """Return the seconds of processor time of what this process started, but for workers."""
    used = [child.cpu_times() for child in psutil.Process().children()]
    return sum(times.user + times.system for times in used)


def _empty(client: Any) -> None:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket=_BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=_BUCKET)


def _extract_seconds(report: RunReport) -> float:
    assert (report.n_files, report.n_errors) == (_FILES, 0)
    return report.seconds["extract"]


def _efficiency(each: float, wall: float, where: str, aim: str) -> str:
    value = _FILES * each / (_WORKERS * wall)
    return ratio(f"extraction time / ({_WORKERS} x wall time), {where}", value, aim)


def _seconds_a_file(paths: list[Path]) -> float:
    featurelib.extract_columns(paths[0])
    started = time.perf_counter()
    for path in paths[:_TIMED]:
        featurelib.extract_columns(path)
    return (time.perf_counter() - started) / _TIMED


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """Point this process and its children at an S3 server behind a slow line; say which.

    That is the gateway of FEATURELIB_TEST_S3_ENDPOINT, or moto in a process of its own.
    """
    with contextlib.ExitStack() as stack:
        environment = {"AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}
        endpoint = os.environ.get("FEATURELIB_TEST_S3_ENDPOINT")
        if endpoint is None:
            endpoint = f"127.0.0.1:{stack.enter_context(_process('-c', _MOTO))}"
            environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        proxy = ["-m", "tests.benchmarks.slow_proxy", endpoint.removeprefix("http://")]
        port = stack.enter_context(_process(*proxy, str(_LATENCY_S)))
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            yield "moto" if "test" in environment.values() else endpoint
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[str]:
    """Run Python on something that prints a line and ends with its input; give the line."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
