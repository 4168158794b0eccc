"""Thousands of damaged files of every format, extracted in separate processes."""

from __future__ import annotations

import collections
import json
import math
import os
import queue
import selectors
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.featurelib.support.encoders import FORMATS
from tests.featurelib.support.mutants import Mutants, write_originals

TIME_LIMIT_S = 30
START_LIMIT_S = 120  # the first mutant waits for imports and compilation
MEMORY_LIMIT_MB = 1000
DECODERS = ("libsndfile", "ffmpeg")


class Child:
    """Process that extracts mutants. It is replaced when it dies or hangs."""

    def __init__(self, folder: Path, name: str) -> None:
        self._command = [
            *(sys.executable, "-X", "faulthandler", "-m", "tests.featurelib.support.mutants"),
            *(str(folder), name),
        ]
        self._log = folder / f"log-{name}"
        self._process: subprocess.Popen[str] | None = None

    def extract(self, number: int) -> dict[str, Any] | str:
        """Outcomes of a mutant, or a text if the process did not survive it."""
        limit = TIME_LIMIT_S
        if self._process is None:
            limit += START_LIMIT_S
            with self._log.open("w") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{number}\n")
        stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            answered = bool(selector.select(limit))
        line = stdout.readline() if answered else ""
        if line:
            return json.loads(line)
        code = self.close()
        if not answered:
            return f"no answer within {limit} s"
        return f"the process ended with {code}: {self._log.read_text()[-2000:]}"

    def close(self) -> int | None:
        if self._process is None:
            return None
        process, self._process = self._process, None
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill() if process.poll() is None else None
        process.stdin.close()
        process.stdout.close()
        return process.wait()


def complaint(answer: dict[str, Any] | str) -> str | None:
    """Errors in the outcomes of a mutant."""
    if isinstance(answer, str):
        return answer
    if answer["peak_mb"] > MEMORY_LIMIT_MB:
        return f"the process has needed {answer['peak_mb']} MB"
    by_source = answer["outcomes"]
    for name, outcome in by_source.items():
        numbers = [value for value in outcome.values() if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)):
            return f"{name}: not finite: {outcome}"
        whole, _, part = name.partition(", ")
        reference = by_source["bytes" + (f", {part}" if part else "")]
        if outcome != reference:
            return f"{whole} and bytes differ: {outcome} {reference}"
    return None


def fuzz(folder: Path, numbers: range) -> tuple[collections.Counter[str], list[str]]:
    """Extract mutants; return counts of the outcomes, and errors."""
    write_originals(folder)
    mutants = Mutants(folder)
    counts: collections.Counter[str] = collections.Counter()
    complaints: list[str] = []
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        left.put(number)

    def work(name: str) -> None:
        child = Child(folder, name)
        try:
            while True:
                number = left.get_nowait()
                answer = child.extract(number)
                if problem := complaint(answer):
                    complaints.append(f"mutant {number} ({mutants.made(number)[0]}): {problem}")
                    child.close()  # otherwise its memory counts for the next one
                if isinstance(answer, dict):
                    outcome = answer["outcomes"]["bytes"]
                    kinds = (outcome.get(key) for key in ("error", "decoder", "decoding"))
                    counts[" ".join(kind for kind in kinds if kind)] += 1
        except queue.Empty:
            child.close()

    n_workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(n_workers) as pool:
        for done in [pool.submit(work, str(i)) for i in range(n_workers)]:
            done.result()
    return counts, complaints


def check(folder: Path, numbers: range) -> None:
    counts, complaints = fuzz(folder, numbers)
    summary = ", ".join(f"{n} {what}" for what, n in counts.most_common())
    print(summary)
    assert not complaints, "\n".join([summary, *complaints])
    decoded = collections.Counter(
        {name: sum(n for what, n in counts.items() if name in what) for name in DECODERS}
    )
    assert decoded.total() >= 0.3 * len(numbers), summary
    assert min(decoded.values()) >= 0.15 * len(numbers), summary
    assert counts["not_finite"] <= 0.05 * len(numbers), summary


@pytest.mark.slow
def test_some_mutants_of_every_format(tmp_path: Path) -> None:
    check(tmp_path, range(3 * len(FORMATS)))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_mutants_give_the_same_finite_rows_or_errors_from_every_source(tmp_path: Path) -> None:
    assert len(FORMATS) >= 30
    check(tmp_path, range(1000, 3000))
