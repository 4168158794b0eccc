"""Run all benchmarks, or those named: ``python -m tests.benchmarks extractor clips``."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

from jobs.execution.native import ONE_THREAD

os.environ.update(ONE_THREAD)  # before anything loads a native library

NAMES = ("start", "extractor", "decode", "presets", "clips", "job", "rows", "memory", "time_left")

#: Run only if they are named.
MORE = ("faults",)

#: Not run without their names, since they take long. The number of files, tasks or rows may follow,
#: and for ``scale`` what the files are: ``list``, ``files``, ``errors`` or ``s3``. ``scale`` of a
#: list ends with ``tasks`` and ``tables``.
SCALE, TASKS, TABLES = "scale", "tasks", "tables"


def main(names: list[str]) -> None:
    """Run benchmarks by name."""
    if names[:1] == [SCALE]:
        from tests.benchmarks import bench_scale

        with tempfile.TemporaryDirectory(prefix="featurelib-bench-") as folder:
            bench_scale.run(Path(folder), *map(int, names[1:2]), *names[2:3])
        if names[2:3] not in ([], ["list"]):
            return
    if names[:1] in ([SCALE], [TASKS]):
        from tests.benchmarks import bench_tasks

        with tempfile.TemporaryDirectory(prefix="featurelib-bench-") as folder:
            bench_tasks.run(Path(folder), *(map(int, names[1:2]) if names[0] == TASKS else ()))
    if names[:1] == [TASKS]:
        return
    if names[:1] in ([SCALE], [TABLES]):
        os.environ.update(dict.fromkeys(ONE_THREAD, str(os.cpu_count())))  # as for a user
        from tests.benchmarks import bench_tables

        with tempfile.TemporaryDirectory(prefix="featurelib-bench-") as folder:
            bench_tables.run(Path(folder), *map(int, names[1:2]))
        return
    unknown = set(names) - {*NAMES, *MORE}
    if unknown:
        sys.exit(
            f"there is no benchmark {', '.join(sorted(unknown))}; there are"
            f" {', '.join((*NAMES, *MORE))}"
        )
    for name in names or NAMES:
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        with tempfile.TemporaryDirectory(prefix="featurelib-bench-") as folder:
            module.run(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
