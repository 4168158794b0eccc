"""A light extractor, and short ways to run the job and to look at its table."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

import featurelib
import jobs.cli
from jobs.diagnostics.events import Observer, ignore
from jobs.diagnostics.run_report import RunReport
from jobs.execution.executor import InlineExecutor
from jobs.request import RunRequest
from jobs.run import plan_job, run_job
from jobs.settings import Settings, with_values

SPEC = featurelib.get_spec("tutorial-v1")
FEATURELIB = str(Path(sys.executable).with_name("featurelib"))


def light_extractor(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Make a row of a file's length; a file that begins with "bad" is bad content."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if data.startswith(b"bad"):
        raise featurelib.AudioError("undecodable", f"bad content: {data.decode()}")
    values: dict[str, Any] = {"bool": False, "string": "x", "int32": 0}
    columns = {f.name: [values.get(str(f.type), len(data))] for f in featurelib.schema(spec)}
    yield featurelib.Rows(1, {}, columns)


@contextlib.contextmanager
def inline() -> Iterator[InlineExecutor]:
    yield InlineExecutor()


def request(
    corpus: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    spec: featurelib.FeatureSpec = SPEC,
    extractor: Any = light_extractor,
    **settings: Any,
) -> RunRequest:
    values = with_values(Settings(reader_grace_s=0.0), settings, "test")
    return RunRequest(os.fspath(corpus), os.fspath(table), spec, values, extractor)


def run(
    corpus: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    observer: Observer = ignore,
    **options: Any,
) -> RunReport:
    """Run the job in this process; `options` are those of `request`."""
    return run_job(request(corpus, table, **options), inline, observer)


def plan(
    corpus: str | os.PathLike[str], table: str | os.PathLike[str], **options: Any
) -> RunReport:
    """Make a dry run; `options` are those of `request`."""
    return plan_job(request(corpus, table, **options))


def write(path: Path, text: str = "x") -> Path:
    """Write a file that the light extractor reads, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def features(table: Path) -> pa.Table:
    """Return the feature rows, by path."""
    return ds.dataset(table / "features", format="parquet").to_table().sort_by("path")


def errors(table: Path) -> dict[str, str]:
    """Return the kind of each error by path."""
    if not (table / "errors").exists():
        return {}
    rows = errors_table(table)
    return dict(zip(rows["path"].to_pylist(), rows["error_kind"].to_pylist(), strict=True))


def errors_table(table: Path) -> pa.Table:
    """Return the error rows."""
    return ds.dataset(table / "errors", format="parquet").to_table()


def labels(table: Path) -> dict[str, str | None]:
    """Return the label of each feature row by path."""
    rows = features(table)
    return dict(zip(rows["path"].to_pylist(), rows["label"].to_pylist(), strict=True))


def digest(*folders: Path) -> dict[str, str]:
    """Return every file and folder below, with a digest of each file's contents."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            is_file = path.is_file() and not path.is_symlink()
            found[os.fsdecode(path)] = (
                hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
            )
    return found


def published(table: Path) -> dict[str, str]:
    """Return what a reader sees: the digest of all that is below features/ and errors/."""
    return digest(table / "features", table / "errors")


_UNPRIVILEGED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


def without_privileges(line: list[str]) -> list[str]:
    """Return a command line for which permission bits bind, even where the tests run as root."""
    return [sys.executable, "-c", _UNPRIVILEGED, *line] if os.getuid() == 0 else line


def invoke(*arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which costs a hundredth of a new one: see `command`."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            jobs.cli.main([os.fspath(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
        finally:
            logging.disable(logging.NOTSET)  # a command that failed says nothing more
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    return subprocess.CompletedProcess(arguments, code, out, err)


def command(
    *arguments: str | os.PathLike[str],
    unprivileged: bool = False,
    before: str = "",
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in a process of its own.

    Parameters
    ----------
    *arguments
        What follows ``featurelib``.
    unprivileged
        Permission bits bind, even where the tests run as root.
    before
        Python that the child runs first.
    **options
        Of `subprocess.run`.
    """
    line = [FEATURELIB, *map(os.fspath, arguments)]
    if unprivileged:
        line = without_privileges(line)
    if before:
        execute = f"import os, sys\n{before}\nos.execv(sys.argv[1], sys.argv[1:])"
        line = [sys.executable, "-c", execute, *line]
    options.setdefault("timeout", 120)
    return subprocess.run(
        line,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        check=False,
        **options,
    )
