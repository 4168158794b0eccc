"""The whole job over tracks: what of two workers' time goes into extraction, locally and on S3."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

import featurelib
from jobs import RunReport, extract_corpus
from jobs.native import keep_freed_memory
from tests.benchmarks.signals import tracks
from tests.benchmarks.timing import ratio

_FILES = 400
_TIMED = 60
_WORKERS = 2
_LATENCY_S = 0.05
_BUCKET = "featurelib-bench"


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
    with _server() as environment:
        client = boto3.client("s3")
        client.create_bucket(Bucket=_BUCKET)
        for path in paths:
            client.upload_file(str(path), _BUCKET, f"corpus/{path.name}")
        place = f"s3://{_BUCKET}"
        report = extract_corpus(f"{place}/corpus", f"{place}/table", workers=_WORKERS)
        wall = _extract_seconds(report)
        assert environment
    print(f"    the same from S3, {1000 * _LATENCY_S:g} ms a request   {wall:8.1f} s")
    print(_efficiency(each, wall, "S3", "at least 0.85"))
    print(ratio("throughput from S3 / local", local_wall / wall))


def _extract_seconds(report: RunReport) -> float:
    assert (report.n_rows, report.n_errors) == (_FILES, 0)
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
def _server() -> Iterator[dict[str, str]]:
    """Start an S3 server and point this process and its children at it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    command = [sys.executable, "-m", "tests.benchmarks.slow_s3", str(_LATENCY_S)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True, **pipes) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address = f"http://127.0.0.1:{int(server.stdout.readline())}"
        environment = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            yield environment
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            server.stdin.close()
