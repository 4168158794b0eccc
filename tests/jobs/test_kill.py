"""A driver that dies at any moment, then the same command again: the table is as if it had not.

Drivers to be killed are forked, extract in their own process, and read files of a single word of
text, so that hundreds of kills are quick.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import dask.dataframe
import duckdb
import pandas as pd
import polars
import pyarrow.dataset
import pytest

import jobs.run
from jobs.request import RunRequest
from jobs.table.changes import Change
from tests.support import driver
from tests.support.moments import MOMENTS, every, noting
from tests.support.quick import slow_but, slow_but_every
from tests.support.tables import (
    assert_same_table,
    assert_tidy,
    errors_of,
    paths_of,
    read_table,
    write_files,
    write_labels,
)

KEPT = {f"kept {i}.wav": ("rock", "pop", "jazz")[i % 3] for i in range(9)}
MOVED = {f"moved {i}.wav": ("rock", "pop", "jazz")[i % 3] for i in range(9)}
TURNED = {f"turned {i}.wav": "rock" for i in range(4)}
"""Bad files that become good, and good ones that become bad, in turn."""
NEXT_LABEL = {"rock": "pop", "pop": "jazz", "jazz": "rock"}


@dataclass
class Scenario:
    """A run to disturb: how the table is before it, and how an undisturbed run leaves it."""

    request: RunRequest
    before: Path | None
    undisturbed: Path
    steps: list[str]

    @functools.cached_property
    def always(self) -> set[str]:
        """Files that have rows before and after the run, with any label."""
        before = paths_of(self.before) if self.before is not None else ()
        return set(before) & set(paths_of(self.undisturbed))

    @property
    def table(self) -> Path:
        return Path(self.request.table)

    def reset(self) -> None:
        shutil.rmtree(self.table, ignore_errors=True)
        if self.before is not None:
            shutil.copytree(self.before, self.table)

    def run_again(self) -> None:
        """Run the same command to its end, and see that nothing tells of what was before."""
        if self.table.exists():
            assert self.always <= set(paths_of(self.table))
        report = driver.run_inline(self.request)
        assert_same_table(self.table, self.undisturbed)
        assert_tidy(self.table)
        n_files = sum(1 for path in Path(self.request.corpus).rglob("*") if path.is_file())
        assert report.n_files + report.n_errors == n_files

    def check_deaths(self, run_and_die: Callable[..., Any], first: int = 1, step: int = 1) -> int:
        """Kill the run at its first, second, … opportunity until there is none; count them."""
        for n in itertools.count(first, step):
            self.reset()
            code = driver.exit_code_of(run_and_die, self.request, n)
            assert code in (0, -signal.SIGKILL)
            if code == 0:
                return n - 1
            self.run_again()
        raise AssertionError


CHANGED = {f"changed {i}.wav": "pop" for i in range(3)}
DELETED = {f"deleted {i}.wav": "rock" for i in range(3)}
NEW = {f"new {i}.wav": "jazz" for i in range(3)}


class Corpus:
    """A corpus before and after its changes; labels come from a file, or from the folders."""

    def __init__(self, top: Path, *, by_file: bool) -> None:
        self.top, self.folder, self.by_file = top, top / "corpus", by_file
        self.label_file = top / "labels.csv"
        self._write(KEPT | MOVED | CHANGED | DELETED, "play")
        self._write(dict(itertools.islice(TURNED.items(), 0, None, 2)), "bad")
        self._write(dict(itertools.islice(TURNED.items(), 1, None, 2)), "play")
        write_labels(self.label_file, KEPT | MOVED | CHANGED | DELETED | TURNED)

    def change(self) -> None:
        later = {name: NEXT_LABEL[label] for name, label in MOVED.items()}
        if not self.by_file:
            for name, label in MOVED.items():
                (self.folder / label / name).rename(self.folder / later[name] / name)
        for name, label in DELETED.items():
            self._path(name, label).unlink()
        self._write(CHANGED | NEW, "play again")
        self._write(dict(itertools.islice(TURNED.items(), 0, None, 2)), "play")
        self._write(dict(itertools.islice(TURNED.items(), 1, None, 2)), "bad")
        write_labels(self.label_file, KEPT | later | CHANGED | NEW | TURNED)

    def request(self, table: str, *, reader_grace_s: float = 0.0) -> RunRequest:
        labels = str(self.label_file) if self.by_file else "parent"
        return driver.request_for(
            self.folder,
            self.top / table,
            labels=labels,
            buckets=2,
            max_deleted=1.0,
            reader_grace_s=reader_grace_s,
        )

    def _path(self, name: str, label: str) -> Path:
        return self.folder / name if self.by_file else self.folder / label / name

    def _write(self, files: dict[str, str], text: str) -> None:
        write_files(
            self.folder,
            {
                str(self._path(name, label).relative_to(self.folder)): f"{text} {name}"
                for name, label in files.items()
            },
        )


@pytest.fixture(scope="module", params=["label file", "folders"])
def scenarios(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Scenario]:
    """Give a first run and an incremental one, in which files come, go, change and move."""
    by_file, steps = request.param == "label file", {"first": [], "incremental": []}
    corpus = Corpus(tmp_path_factory.mktemp("first"), by_file=by_file)
    driver.run_inline(corpus.request("undisturbed"), noting(steps["first"]))
    first = Scenario(corpus.request("table"), None, corpus.top / "undisturbed", steps["first"])
    corpus = Corpus(tmp_path_factory.mktemp("incremental"), by_file=by_file)
    driver.run_inline(corpus.request("before"))
    shutil.copytree(corpus.top / "before", corpus.top / "undisturbed")
    corpus.change()
    driver.run_inline(corpus.request("undisturbed"), noting(steps["incremental"]))
    incremental = Scenario(
        corpus.request("table"),
        corpus.top / "before",
        corpus.top / "undisturbed",
        steps["incremental"],
    )
    return {"first": first, "incremental": incremental}


@pytest.fixture(params=["first", "incremental"])
def scenario(request: pytest.FixtureRequest, scenarios: dict[str, Scenario]) -> Scenario:
    return scenarios[request.param]


def test_the_scenarios_have_what_they_are_for(scenarios: dict[str, Scenario]) -> None:
    for one in scenarios.values():
        assert set(one.steps) == set(MOMENTS)
        assert one.steps.count("part started") == one.steps.count("part written")
    incremental = scenarios["incremental"]
    before, after = (
        read_table(table)[0].groupby("path")["label"].first()
        for table in (incremental.before, incremental.undisturbed)
        if table is not None
    )
    assert len(set(errors_of(incremental.before)) ^ set(errors_of(incremental.undisturbed))) == 4
    both = before.index.intersection(after.index)
    relabelled = set(both[before[both] != after[both]])
    if incremental.request.settings.labels == "parent":
        assert relabelled == set()
    else:
        assert relabelled == set(MOVED)
        # parts that exchange files are written twice
        n_parts = sum(1 for _ in incremental.undisturbed.glob("*/**/*.parquet"))
        assert incremental.steps.count("part started") > n_parts


@pytest.mark.parametrize("scenarios", ["label file"], indirect=True)
@pytest.mark.parametrize("stride", slow_but([7], [1, 7]))
def test_killed_at_each_step(scenario: Scenario, stride: int) -> None:
    n = scenario.check_deaths(driver.run_killed_at_step, first=stride, step=stride)
    assert len(scenario.steps) <= n < len(scenario.steps) + stride
    assert driver.run_inline(scenario.request).parts_written == 0


# every change would take minutes; the strides meet all kinds of them
@pytest.mark.slow
@pytest.mark.parametrize("stride", slow_but([29], [3, 29]))
def test_killed_before_a_change_of_a_file(scenario: Scenario, stride: int) -> None:
    n = scenario.check_deaths(driver.run_killed_at_write, first=stride, step=stride)
    assert n > 2 * scenario.steps.count("part started")


@pytest.mark.slow  # in real time
def test_killed_at_random_moments_again_and_again(scenario: Scenario) -> None:
    chance = random.Random(7)
    scenario.reset()
    started = time.monotonic()
    driver.exit_code_of(driver.run_inline, scenario.request)
    at_most = 1.2 * (time.monotonic() - started)
    codes: Counter[int] = Counter()
    for _ in range(5):
        scenario.reset()
        for _ in range(3):
            process = driver.forked(driver.run_inline, scenario.request)
            process.join(chance.uniform(0, at_most))
            process.kill()
            process.join()
            codes[process.exitcode] += 1
        scenario.run_again()
    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes[-signal.SIGKILL] >= 5


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "pandas": pd.read_parquet,
    "pyarrow": lambda folder: (
        pyarrow.dataset.dataset(folder, partitioning="hive").to_table().to_pandas()
    ),
    "polars": lambda folder: polars.read_parquet(f"{folder}/**/*.parquet").to_pandas(),
    "duckdb": lambda folder: (
        duckdb.connect().execute("SELECT * FROM read_parquet(?)", [f"{folder}/**/*.parquet"]).df()
    ),
    "dask": lambda folder: dask.dataframe.read_parquet(folder).compute(scheduler="synchronous"),
}


def keys_of(rows: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Return the key of each row, sorted; -1 for no channel."""
    keys = rows[["path", "channel", "segment"]].fillna({"channel": -1})
    return sorted(keys.itertuples(index=False, name=None))


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("reader", slow_but_every(3, list(READERS)))
@pytest.mark.parametrize(
    "scenarios", slow_but(["label file"], ["label file", "folders"]), indirect=True
)
def test_a_reader_between_any_two_writes_misses_nothing(
    scenarios: dict[str, Scenario], reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # one write after the other: a scan that spans a write may fail
    monkeypatch.setattr("jobs.storage.parallel._AT_ONCE", 1)
    scenario = scenarios["incremental"]
    scenario.reset()
    features = scenario.table / "features"
    n_read = 0

    def read() -> None:
        nonlocal n_read
        keys = keys_of(READERS[reader](features))
        assert scenario.always <= {path for path, _, _ in keys}
        twice = {path for (path, _, _), n in Counter(keys).items() if n > 1}
        assert twice <= set(MOVED)
        n_read += 1

    driver.run_inline(scenario.request, every("part written", read))
    assert n_read == scenario.steps.count("part started")
    expected = keys_of(pd.read_parquet(scenario.undisturbed / "features"))
    assert keys_of(READERS[reader](features)) == expected


def read_again_and_again(folder: Path, stop: Event, send: Any) -> None:
    """Open and read a table again and again until asked to stop; send the result of each scan."""
    scans = []
    while not stop.is_set():
        before = parts_now(folder)
        try:
            found = frozenset(pd.read_parquet(folder, columns=["path"])["path"])
        except OSError:  # a scan that spans a replacement can fail
            found = None
        scans.append((found, before == parts_now(folder)))
        if len(scans) == 1:
            send.send("reading")
    send.send(scans)


def parts_now(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (status.st_ino, status.st_mtime_ns)
        for path in sorted(folder.rglob("*.parquet"))
        for status in [path.stat()]
    }


@pytest.mark.slow  # in real time
def test_a_reader_beside_the_driver_misses_nothing(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, by_file=True)
    request = corpus.request("table", reader_grace_s=1.0)  # a scan takes a tenth of that
    driver.run_inline(request)
    always = frozenset(paths_of(request.table))
    stop, (receive, send) = driver.FORK_SERVER.Event(), driver.FORK_SERVER.Pipe(duplex=False)
    features = Path(request.table) / "features"
    reader = driver.forked(read_again_and_again, features, stop, send)
    assert receive.recv() == "reading"
    labels = KEPT | MOVED | CHANGED | DELETED | TURNED
    for i in range(6):
        labels |= {name: NEXT_LABEL[labels[name]] for name in MOVED}
        write_labels(corpus.label_file, labels)
        write_files(corpus.folder, {name: f"play {i} {name}" for name in CHANGED})
        assert driver.run_inline(request).parts_written > 0
    stop.set()
    scans = receive.recv()
    reader.join(30)
    # a scan during which nothing was replaced has everything
    undisturbed = [found for found, is_same in scans if is_same]
    assert undisturbed
    assert all(found == always for found in undisturbed)
    # and one that spans replacements as well, as it is shorter than the time of grace
    spanning = [found for found, is_same in scans if not is_same and found is not None]
    assert spanning
    assert all(found == always for found in spanning)


def test_a_table_made_while_another_driver_came_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second driver has looked, and found no table; the first has made one since."""
    corpus = Corpus(tmp_path, by_file=True)
    first = corpus.request("table")
    second = driver.request_for(corpus.folder, first.table, labels=str(corpus.label_file))
    write_lock = jobs.run.write_lock

    def hold_late(*arguments: Any, **keywords: Any) -> Any:
        monkeypatch.setattr(jobs.run, "write_lock", write_lock)
        driver.run_inline(first)
        return write_lock(*arguments, **keywords)

    monkeypatch.setattr(jobs.run, "write_lock", hold_late)
    report = driver.run_inline(second)
    assert report.counts[Change.UNCHANGED] == report.n_files + report.n_errors
    assert report.parts_written == 0
    assert json.loads((Path(first.table) / "_job" / "table.json").read_text())["n_buckets"] == 2
