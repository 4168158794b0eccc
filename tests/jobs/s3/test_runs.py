"""The whole job with its corpus and its table in buckets."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import pandas as pd
import pyarrow.compute as pc
import pytest

import featurelib
import jobs.cli
from jobs.errors import EXIT_BUSY, EXIT_FAILED, ConflictError, CorpusError, JobError, TableBusyError
from jobs.execution.dask import DaskExecutor
from jobs.execution.task import TaskContext
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.status import error_rows, table_status
from jobs.storage import base, parquet
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from jobs.table.changes import Change
from jobs.table.layout import LEASE, TABLE_JSON
from jobs.table.metadata import read_metadata
from jobs.table.reader import Table
from tests.conftest import GATEWAY, S3
from tests.support import audio_files, driver, light, pausing
from tests.support.moments import MOMENTS, at
from tests.support.s3_double import FLIP, RESET, RESET_AFTER, double, first
from tests.support.tables import assert_same_table, read_table

FIRST = {
    "rock/a.wav": "play a",
    "rock/b c=%#.wav": "play b",
    "rock/turns good.wav": "bad once",
    "pop/d+'ü\".mp3": "play d",
    "pop/e.wav": "play e",
    "01/f.wav": "play f",
    "01/turns bad.wav": "play g",
    "01/moves.wav": "play h",
    "01/goes.wav": "play i",
    "01/notes.txt": "not audio",
    "top.wav": "play j",
}
NEXT = {
    "rock/a.wav": "play another a",
    "rock/turns good.wav": "play it now",
    "01/turns bad.wav": "bad now",
    "pop/moves.wav": "play h",
    "new/k.wav": "play k",
}
GONE = ["01/moves.wav", "01/goes.wav"]
N_FILES = len(FIRST) - 1
N_FILES_NEXT = N_FILES + 2 - 2


def storage_options(s3: S3) -> list[str]:
    return [
        f"key={s3.key}",
        f"secret={s3.secret}",
        f"endpoint_url={s3.endpoint}",
        "client_kwargs.region_name=us-east-1",
    ]


class Place:
    """A bucket with a corpus, and the same corpus in a folder."""

    def __init__(self, s3: S3, folder: Path) -> None:
        self.s3, self.folder, self.bucket = s3, folder, s3.bucket()
        self._client = s3.client

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            self.put(f"corpus/{name}", text.encode())
            path = self.folder / "corpus" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def delete(self, names: list[str]) -> None:
        for name in names:
            self._client.delete_object(Bucket=self.bucket, Key=f"corpus/{name}")
            (self.folder / "corpus" / name).unlink()

    def change(self) -> None:
        self.write(NEXT)
        self.delete(GONE)

    def put(self, key: str, data: bytes) -> str:
        answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return answer["ETag"].strip('"')

    def get(self, key: str) -> bytes:
        return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def objects(self, prefix: str) -> dict[str, str]:
        """Return the ETags of all objects below a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{prefix}/"
        )
        return {o["Key"]: o["ETag"] for page in pages for o in page.get("Contents", ())}

    def parts(self, table: str = "table") -> dict[str, str]:
        return self.objects(f"{table}/features") | self.objects(f"{table}/errors")

    def contents(self, prefix: str) -> dict[str, bytes]:
        return {key: self.get(key) for key in self.objects(prefix)}

    def clear(self, prefix: str) -> None:
        for key in self.objects(prefix):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def request(self, table: str = "table", *, s3: S3 | None = None, **settings: Any) -> RunRequest:
        settings.setdefault("labels", "parent")
        settings.setdefault("storage_options", storage_options(s3 or self.s3))
        return driver.request_for(
            f"s3://{self.bucket}/corpus",
            f"s3://{self.bucket}/{table}",
            **{"buckets": 2, "max_deleted": 1.0, "lease_period_s": 0.8, "reader_grace_s": 0.0}
            | settings,
        )

    def local_request(self, **settings: Any) -> RunRequest:
        settings.setdefault("labels", "parent")
        return driver.request_for(
            self.folder / "corpus",
            self.folder / "table",
            **{"buckets": 2, "max_deleted": 1.0, "reader_grace_s": 0.0} | settings,
        )

    def downloaded(self, table: str = "table") -> Path:
        folder = self.folder / "downloaded" / f"{table} {time.monotonic_ns()}"
        for key in self.parts(table):
            path = folder / key.removeprefix(f"{table}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(key))
        return folder

    def assert_same_as_local(self, *, parts: bool = True) -> None:
        """Fail unless the bucket's table is the folder's, but for the files' versions.

        Without `parts` it may have emptied parts that the folder's has not.
        """
        mine, local = self.downloaded(), self.folder / "table"
        if parts:
            assert _parts(mine) == _parts(local)
        for found, wanted in zip(read_table(mine), read_table(local), strict=True):
            pd.testing.assert_frame_equal(
                found.drop(columns="source_version"), wanted.drop(columns="source_version")
            )

    def assert_same_as(self, other: str, table: str = "table") -> None:
        """Fail unless two of the bucket's tables are the same."""
        assert_same_table(self.downloaded(table), self.downloaded(other))

    def assert_tidy(self, table: str = "table") -> None:
        left = [key for key in self.objects(f"{table}/_job") if "/staged/" in key]
        left += [key for key in self.objects(f"{table}/_job") if "/probe-" in key or "/tmp/" in key]
        assert left == []


def _parts(table: Path) -> list[str]:
    return sorted(str(path.relative_to(table)) for path in table.rglob("part-*"))


@pytest.fixture
def place(s3: S3, tmp_path: Path) -> Place:
    return Place(s3, tmp_path)


@pytest.fixture
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)


# what a run does


@pytest.mark.usefixtures("environment")
def test_runs_with_labels_of_folders(place: Place) -> None:
    request = place.request(storage_options=[])
    place.write(FIRST)
    report = driver.run_inline(request)
    assert (report.n_files, report.n_errors, report.exit_code) == (N_FILES - 1, 1, 0)
    assert report.passed_over == {"not audio": 1}
    driver.run_inline(place.local_request())
    place.assert_same_as_local()
    place.assert_tidy()

    before = place.parts()
    report = driver.run_inline(request)
    assert report.counts[Change.UNCHANGED] == N_FILES
    assert (report.n_read, report.parts_written) == (0, 0)
    assert place.parts() == before

    place.change()
    untouched = {key: tag for key, tag in before.items() if "unlabelled" in key}
    report = driver.run_inline(request)
    assert (report.n_files, report.n_errors) == (N_FILES_NEXT - 1, 1)
    assert report.n_read == len(NEXT)
    driver.run_inline(place.local_request())
    place.assert_same_as_local()
    place.assert_tidy()
    assert len(untouched) == 1
    assert untouched.items() <= place.parts().items()
    before = place.parts()
    assert driver.run_inline(request).parts_written == 0
    assert place.parts() == before


def label_file(labels: dict[str, str]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerows([("path", "label", "year"), *((p, x, 1990) for p, x in labels.items())])
    return text.getvalue().encode()


def test_runs_with_a_label_file(place: Place) -> None:
    labels = {name: name.rpartition("/")[0] or "none" for name in FIRST}
    request = place.request(labels=f"s3://{place.bucket}/labels.csv")
    local = place.local_request(labels=str(place.folder / "labels.csv"))

    def relabel() -> None:
        place.put("labels.csv", label_file(labels))
        (place.folder / "labels.csv").write_bytes(label_file(labels))

    place.write(FIRST)
    relabel()
    driver.run_inline(request)
    driver.run_inline(local)
    place.assert_same_as_local()
    labels |= {"rock/a.wav": "pop", "pop/e.wav": "rock", "top.wav": "Ü = 1/2"}
    relabel()
    report = driver.run_inline(request)
    assert (report.counts[Change.RELABELLED], report.n_read) == (3, 0)
    driver.run_inline(local)
    place.assert_same_as_local()
    place.change()
    driver.run_inline(request)
    driver.run_inline(local)
    place.assert_same_as_local()
    assert driver.run_inline(request).parts_written == 0


def test_a_list_of_files_in_a_bucket(place: Place) -> None:
    place.write(FIRST)
    names = [name for name in FIRST if name.endswith("wav")]
    place.put("corpus/list.txt", "\n".join([*names, "gone.wav"]).encode())
    request = place.request(labels="none")
    request = driver.request_for(
        f"{request.corpus}/list.txt", request.table, storage_options=storage_options(place.s3)
    )
    report = driver.run_inline(request)
    assert (report.n_files, report.n_errors) == (len(names) - 1, 2)
    assert report.failures == {"undecodable": 1, "vanished": 1}


def test_each_side_with_options_of_its_own(place: Place) -> None:
    place.write(FIRST)
    sides = [f"corpus:{option}" for option in storage_options(place.s3)]
    table = place.folder / "table"
    driver.run_inline(place.local_request())
    local = read_table(table)
    request = place.request(storage_options=sides)
    report = driver.run_inline(
        driver.request_for(
            request.corpus, place.folder / "other", labels="parent", storage_options=sides
        )
    )
    assert report.n_files == N_FILES - 1
    assert list(read_table(place.folder / "other")[0]["path"]) == list(local[0]["path"])


def test_large_files_go_through_a_temporary_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[Any] = []
    files: list[Any] = []
    spool_file = base.spool_file

    def noting_sources(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
        sources.append(source)
        return light.light_extractor(source, spec)

    def noting_files() -> Any:
        files.append(spool_file())
        return files[-1]

    monkeypatch.setattr(base, "SPOOL_BYTES", 3)
    monkeypatch.setattr(base, "spool_file", noting_files)
    place.write(FIRST)
    request = place.request()
    report = light.run(
        request.corpus,
        request.table,
        extractor=noting_sources,
        labels="parent",
        storage_options=storage_options(place.s3),
    )
    assert (report.n_files, report.n_errors) == (N_FILES - 1, 1)
    assert len(sources) == N_FILES
    assert len(files) > N_FILES  # staged are fetched in the same way
    assert all(isinstance(source, str) for source in sources)
    assert all(file.closed for file in files)


def test_a_real_recording_through_a_temporary_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = featurelib.get_spec("tutorial-v1")
    path = audio_files.write_tone(place.folder / "a.flac", seconds=0.3)
    place.put("corpus/a.flac", path.read_bytes())
    store = open_store(f"s3://{place.bucket}/corpus", place.s3.storage_options)
    expected = featurelib.extract_columns(str(path), spec)
    for bound in (10**9, 1000):
        monkeypatch.setattr(base, "SPOOL_BYTES", bound)
        fetched = store.fetch("a.flac")
        assert os.readlink(fetched.source).startswith("/memfd:") == (bound > 1000)
        assert featurelib.extract_columns(fetched.source, spec) == expected
        fetched.close()


def test_threads_of_dask_workers(place: Place) -> None:
    place.write(FIRST)
    driver.run_inline(place.request("undisturbed"))

    @contextlib.contextmanager
    def threads() -> Iterator[DaskExecutor]:
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield DaskExecutor(client)

    run_job(place.request(), threads)
    place.assert_same_as("undisturbed")


# drivers that die, are stopped, or are two


@dataclass
class Prepared:
    """A table, the corpus that changed since, and what is to come of it."""

    place: Place
    before: dict[str, bytes]
    undisturbed: Path

    def reset(self) -> None:
        self.place.clear("table")
        for key, data in self.before.items():
            self.place.put(key, data)

    def check(self) -> None:
        """Fail unless the table is as an undisturbed run leaves it."""
        assert_same_table(self.place.downloaded(), self.undisturbed)


@pytest.fixture(scope="module")
def prepared(s3_endpoint: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    mine = S3(s3_endpoint.endpoint, s3_endpoint.key, s3_endpoint.secret)
    place = Place(mine, tmp_path_factory.mktemp("place"))
    place.write(FIRST)
    driver.run_inline(place.request())
    before = place.contents("table")
    place.change()
    driver.run_inline(place.request())
    yield Prepared(place, before, place.downloaded())
    mine.remove_buckets()


@pytest.fixture
def changed(s3: S3, prepared: Prepared) -> Prepared:
    prepared.reset()
    return prepared


@pytest.mark.parametrize(("name", "n"), [*((name, 1) for name in MOMENTS), ("part written", 3)])
def test_killed_at_a_step(changed: Prepared, name: str, n: int) -> None:
    request = changed.place.request(lease_period_s=0.6)
    code = driver.exit_code_of(driver.run_killed_at_step, request, n, name)
    assert code == -signal.SIGKILL
    driver.run_inline(request)
    changed.check()
    changed.place.assert_tidy()


@pytest.mark.parametrize("name", ["plan", "part written"])
def test_killed_while_a_table_is_made(changed: Prepared, name: str) -> None:
    changed.place.clear("table")
    request = changed.place.request(lease_period_s=0.6)
    code = driver.exit_code_of(driver.run_killed_at_step, request, 1, name)
    assert code == -signal.SIGKILL
    driver.run_inline(request)
    changed.check()


@contextlib.contextmanager
def paused(request: RunRequest, name: str, n: int = 1) -> Iterator[Any]:
    """Run a job in another process up to some point; give the process, and end it."""
    here, there = driver.FORK_SERVER.Pipe()
    process = driver.forked(pausing.run_pausing, request, name, n, there)
    try:
        assert here.poll(30)
        assert here.recv() == name
        process.goes_on = lambda: here.send("go on")
        process.word = here.recv
        yield process
    finally:
        process.kill()
        process.join()


def stop_and_overtake(place: Place, process: Any, run: Callable[[], Any]) -> tuple[int, str]:
    """Stop a driver, run another one, let the first go on; return how it ends."""
    os.kill(process.pid, signal.SIGSTOP)
    run()
    process.goes_on()
    os.kill(process.pid, signal.SIGCONT)
    process.join(30)
    return process.exitcode, process.word()


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("extract", 1),
        ("part started", 1),
        ("part written", 2),
        ("/part-", 2),  # after the check: its PUT comes late
        ("verify", 1),
        ("clean", 1),
    ],
)
def test_stopped_and_overtaken(changed: Prepared, name: str, n: int) -> None:
    place = changed.place
    request = place.request()
    with paused(request, name, n) as process:
        code, word = stop_and_overtake(place, process, lambda: driver.run_inline(request))
    assert (code, "another run" in word) == (EXIT_BUSY, True)
    changed.check()
    before = place.parts()
    assert driver.run_inline(request).parts_written == 0
    assert place.parts() == before
    place.assert_tidy()


@pytest.mark.parametrize(("name", "n"), [("extract", 1), ("part started", 2)])
def test_stopped_and_overtaken_on_a_corpus_that_changed_again(
    place: Place, name: str, n: int
) -> None:
    place.write(FIRST)
    request = place.request()
    with paused(request, name, n) as process:

        def run() -> None:
            place.change()
            driver.run_inline(request)

        code, _ = stop_and_overtake(place, process, run)
    assert code == EXIT_BUSY
    driver.run_inline(place.local_request())
    place.assert_same_as_local(parts=False)
    before = place.parts()
    assert driver.run_inline(request).parts_written == 0
    assert place.parts() == before


def test_a_part_that_comes_after_the_second_driver_is_found_by_the_next_run(place: Place) -> None:
    """The one window there is: stopped between the check and the PUT of a part that is new."""
    place.write(FIRST | {"late/gone.wav": "play late"})
    request = place.request()
    with paused(request, "by_label=late/") as process:

        def run() -> None:
            place.delete(["late/gone.wav"])
            driver.run_inline(request)

        code, _ = stop_and_overtake(place, process, run)
    assert code == EXIT_BUSY
    driver.run_inline(request)
    driver.run_inline(place.local_request())
    assert set(read_table(place.downloaded())[0]["path"]) == set(
        read_table(place.folder / "table")[0]["path"]
    )


def test_stopped_before_the_table_is_made(place: Place) -> None:
    place.write(FIRST)
    driver.run_inline(place.request("undisturbed", buckets=3))
    with paused(place.request(buckets=2), TABLE_JSON) as process:
        second = place.request(buckets=3)
        code, word = stop_and_overtake(place, process, lambda: driver.run_inline(second))
    assert (code, "another run" in word) == (EXIT_BUSY, True)
    assert json.loads(place.get(f"table/{TABLE_JSON}"))["n_buckets"] == 3
    place.assert_same_as("undisturbed")
    assert driver.run_inline(second).parts_written == 0


def test_a_part_that_is_replaced_while_it_is_read(
    changed: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{changed.place.bucket}/table"
    store = open_store(url, changed.place.s3.storage_options)
    info = read_metadata(store)
    assert info is not None
    expected = {bucket: Table(store, info).held(bucket) for bucket in range(2)}
    opened, real = Counter[str](), S3Store.open

    def replaced(self: S3Store, name: str) -> Any:
        opened[name] += 1
        if opened[name] <= 2:
            raise ConflictError(f"{name} changed while it was read")
        return real(self, name)

    monkeypatch.setattr(S3Store, "open", replaced)
    assert {bucket: Table(store, info).held(bucket) for bucket in range(2)} == expected
    assert set(opened.values()) == {3}


@pytest.mark.parametrize(
    ("what", "name", "n"),
    [
        ("older", "extract", 1),
        ("older", "merge", 1),
        ("older", "part started", 2),
        ("older", "verify", 1),
        ("emptied", "merge", 1),
        ("emptied", "part started", 1),
        ("new", "part started", 1),
    ],
)
def test_a_stale_write_between_planning_and_promotion(
    changed: Prepared, what: str, name: str, n: int
) -> None:
    place, parts = changed.place, {k: v for k, v in changed.before.items() if "/part-" in k}
    late = {
        "older": {key: cut(data, 1) for key, data in parts.items()},
        "emptied": {key: cut(data, 0) for key, data in parts.items() if "=pop/" in key},
        "new": {k.replace("=pop/", "=new/"): cut(v, 0) for k, v in parts.items() if "=pop/" in k},
    }[what]
    assert late

    def write() -> None:
        for key, data in late.items():
            place.put(key, data)

    report = driver.run_inline(place.request(), at(name, write, n))
    assert report.status == "done"
    changed.check()


def cut(part: bytes, n: int) -> bytes:
    """Return a part of which only the rows of the first files are left."""
    rows = parquet.from_parquet(part)
    paths = rows["path"].unique().slice(0, n)
    return parquet.to_parquet(rows.filter(pc.is_in(rows["path"], paths)))


def test_two_drivers_at_once(changed: Prepared) -> None:
    request = changed.place.request()
    with paused(request, "part started", 2) as process:
        started = time.monotonic()
        with pytest.raises(TableBusyError, match=rf"process {process.pid} on .*wait for it"):
            driver.run_inline(request)
        assert time.monotonic() - started < 5
        process.goes_on()
        process.join(30)
        assert process.exitcode == 0
    changed.check()


def test_two_drivers_begin_together(changed: Prepared) -> None:
    processes = [driver.forked(pausing.run_or_exit, changed.place.request()) for _ in range(2)]
    for process in processes:
        process.join(60)
    codes = sorted(process.exitcode for process in processes)
    assert codes in ([0, EXIT_BUSY], [0, 0])  # the second may come when the first is done
    changed.check()


# services that fail


def test_a_service_that_fails_now_and_then(changed: Prepared, waits: list[float]) -> None:
    n_asked, n_puts = 0, 0
    failures: dict[int, int | str] = {0: 503, 4: 500, 8: RESET}

    def rule(method: str, path: str) -> int | str | None:
        nonlocal n_asked, n_puts
        n_asked += 1
        n_puts += method == "PUT"
        if method == "PUT" and n_puts % 5 == 2:
            return RESET_AFTER
        return failures.get(n_asked % 12)

    with double(changed.place.s3, rule) as service:
        request = changed.place.request(s3=service.s3, lease_period_s=20.0)
        assert driver.run_inline(request).status == "done"
        assert min(service.count(what) for what in (503, 500, RESET, RESET_AFTER)) >= 2
    assert len(waits) >= 6
    changed.check()


def test_a_service_that_is_gone_in_the_midst(changed: Prepared, waits: list[float]) -> None:
    with double(changed.place.s3) as service:
        gone = [False]
        service.rule = lambda method, path: RESET if gone[0] else None

        def go() -> None:
            gone[0] = True

        with pytest.raises(JobError) as caught:
            driver.run_inline(changed.place.request(s3=service.s3), at("part started", go, 2))
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code in (EXIT_FAILED, EXIT_BUSY)
    driver.run_inline(changed.place.request())
    changed.check()


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("checksum", [{}, {"ChecksumAlgorithm": "CRC32"}])
def test_damaged_bytes_are_not_decoded(
    place: Place,
    checksum: dict[str, str],
    spooled: bool,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if spooled:
        monkeypatch.setattr(base, "SPOOL_BYTES", 3)
    for name in ("good", "once", "always"):
        place.s3.client.put_object(
            Bucket=place.bucket, Key=f"corpus/{name}.wav", Body=b"play it", **checksum
        )
    once = first(1, FLIP, "GET", "/once.wav")

    def rule(method: str, path: str) -> int | str | None:
        return FLIP if path.endswith("/always.wav") else once(method, path)

    with double(place.s3, rule) as service:
        report = driver.run_inline(place.request(s3=service.s3, labels="none"))
    assert (report.n_files, report.failures) == (2, {"unreadable": 1})
    rows, errors = read_table(place.downloaded())
    of_file = rows.groupby("path")["duration_s"].apply(tuple)
    assert list(of_file.index) == ["good.wav", "once.wav"]
    assert of_file.nunique() == 1
    assert "checksum" in errors["message"][0] or "ETag" in errors["message"][0]
    assert len(waits) >= 2

    report = driver.run_inline(place.request(labels="none"))
    assert (report.n_files, report.n_errors, report.n_read) == (3, 0, 1)


# what users are told


def told(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command; return its exit code and what it writes to standard error."""
    with pytest.raises(SystemExit) as ended:
        jobs.cli.main(["extract", *arguments, "--quiet"])
    output = capsys.readouterr()
    assert output.out == ""
    assert isinstance(ended.value.code, int)
    return ended.value.code, output.err


def assert_one_line(text: str, *parts: str) -> None:
    lines = text.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("featurelib: ")
    for part in parts:
        assert part in lines[0]


def options_of(s3: S3) -> list[str]:
    return [text for option in storage_options(s3) for text in ("--storage-option", option)]


@pytest.fixture
def told_by(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    return lambda *arguments: told(*arguments, capsys=capsys)


def test_a_missing_bucket(place: Place, told_by: Callable[..., tuple[int, str]]) -> None:
    place.write(FIRST)
    here, options = f"s3://{place.bucket}", options_of(place.s3)
    code, text = told_by("s3://no-such-bucket-1/corpus", "-o", f"{here}/table", *options)
    assert code == EXIT_FAILED
    assert_one_line(text, "s3://no-such-bucket-1/corpus", "no such bucket", "make it")
    assert place.parts() == {}
    code, text = told_by(f"{here}/corpus", "-o", "s3://no-such-bucket-1/table", *options)
    assert code == EXIT_FAILED
    assert_one_line(text, "s3://no-such-bucket-1/table", "no such bucket", "make it")
    code, text = told_by(f"{here}/empty", "-o", f"{here}/table", *options)
    assert code == EXIT_FAILED
    assert_one_line(text, f"{here}/empty", "no audio files")


@pytest.mark.skipif(not GATEWAY, reason="moto takes any credentials")
@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [("", "wrongsecret", "SignatureDoesNotMatch"), ("wrongkey", "", "InvalidAccessKeyId")],
)
def test_wrong_credentials(
    place: Place, told_by: Callable[..., tuple[int, str]], key: str, secret: str, code: str
) -> None:
    place.write(FIRST)
    wrong = S3(place.s3.endpoint, key or place.s3.key, secret or place.s3.secret)
    here = f"s3://{place.bucket}"
    sides = [f"corpus:{option}" for option in storage_options(wrong)]
    options = [text for option in sides for text in ("--storage-option", option)]
    for table, given in ((f"{here}/table", options_of(wrong)), (str(place.folder / "t"), options)):
        exit_code, text = told_by(f"{here}/corpus", "-o", table, *given)
        assert exit_code == EXIT_FAILED
        assert_one_line(text, here, code, "AWS_ACCESS_KEY_ID")
        assert wrong.secret not in text


def test_no_credentials(
    place: Place, told_by: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.s3.endpoint)
    code, text = told_by(f"s3://{place.bucket}/corpus", "-o", str(place.folder / "t"))
    assert code == EXIT_FAILED
    assert_one_line(text, f"s3://{place.bucket}/corpus", "no AWS credentials", "anon=true")


@pytest.mark.parametrize("forbidden", ["list", "read", "write"])
def test_no_permission(
    place: Place, told_by: Callable[..., tuple[int, str]], forbidden: str
) -> None:
    place.write(FIRST)
    here = f"s3://{place.bucket}"

    def rule(method: str, path: str) -> int | None:
        is_listing = path.rstrip("/") == f"/{place.bucket}"
        denied = {
            "list": method == "GET" and is_listing,
            "read": method == "GET" and "/corpus/" in path,
            "write": method == "PUT",
        }
        return 403 if denied[forbidden] else None

    with double(place.s3, rule) as service:
        table = f"{here}/table" if forbidden == "write" else str(place.folder / "t")
        request = driver.request_for(
            f"{here}/corpus", table, storage_options=storage_options(service.s3)
        )
        with pytest.raises(JobError, match="AccessDenied") as caught:
            driver.run_inline(request)
    assert caught.value.exit_code == EXIT_FAILED
    assert "\n" not in str(caught.value)
    if forbidden == "read":  # is found out by the workers, who fail at every file
        assert isinstance(caught.value, CorpusError)
        assert "the first" in str(caught.value)
    else:
        assert here in str(caught.value)


def test_an_address_where_nothing_answers(
    place: Place, told_by: Callable[..., tuple[int, str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nowhere = S3(f"http://127.0.0.1:{port}", place.s3.key, place.s3.secret)
    audio_files.make_corpus(place.folder / "audio", {"rock": 1})
    started = time.monotonic()
    for corpus, table in (
        ("s3://bucket/corpus", str(place.folder / "t")),
        (str(place.folder / "audio"), "s3://bucket/table"),
        ("s3://bucket/corpus", "s3://bucket/table"),
        ("s3://bucket/list.txt", str(place.folder / "t")),
    ):
        code, text = told_by(corpus, "-o", table, *options_of(nowhere))
        assert code == EXIT_FAILED
        assert_one_line(text, "s3://bucket", nowhere.endpoint, "AWS_ENDPOINT_URL")
    assert time.monotonic() - started < 20


def test_credentials_that_look_like_numbers() -> None:
    options = ["key=123456", "secret=true", "client_kwargs.aws_session_token=7", "anon=false"]
    assert light.request("a", "b", storage_options=options).settings.options_for("table") == {
        "key": "123456",
        "secret": "true",
        "client_kwargs": {"aws_session_token": "7"},
        "anon": False,
    }


def test_secrets_stay_secret(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(FIRST)
    request = place.request()
    jobs_seen: list[TaskContext] = []
    extract_shard = jobs.execution.executor.extract_shard  # type: ignore[attr-defined]

    def seeing(job: TaskContext, shard: Any) -> Any:
        jobs_seen.append(job)
        return extract_shard(job, shard)

    monkeypatch.setattr("jobs.execution.executor.extract_shard", seeing)
    driver.run_inline(request)

    def fail() -> None:
        raise RuntimeError(f"unforeseen, with {place.s3.secret} in it")

    place.change()
    with pytest.raises(RuntimeError):
        driver.run_inline(request, at("part started", fail, 1))
    texts = [data.decode("latin-1") for data in place.contents("table").values()]
    assert sum('"status": "failed"' in text for text in texts) == 1
    assert sum("with *** in it" in text for text in texts) == 1
    assert jobs_seen
    assert jobs_seen[0].table_options["secret"] == place.s3.secret
    output = capfd.readouterr()
    texts += [output.out, output.err, *map(repr, jobs_seen), repr(request), repr(request.settings)]
    for text in texts:
        assert place.s3.key not in text
        assert place.s3.secret not in text


# the command, with processes of its own


@pytest.mark.usefixtures("environment")
def test_the_command_with_settings_in_the_environment(place: Place) -> None:
    for path in audio_files.make_corpus(place.folder / "corpus", {"rock": 3, "01": 2}, seconds=0.2):
        place.put(str(path.relative_to(place.folder)), path.read_bytes())
    (place.folder / "corpus" / "rock" / "bad.wav").write_bytes(b"no audio")
    place.put("corpus/rock/bad.wav", b"no audio")
    here = f"s3://{place.bucket}"
    line = ["extract", f"{here}/corpus", "-o", f"{here}/table", "--labels", "parent"]
    line += ["--preset", "tutorial-v1", "--workers", "1", "--buckets", "2"]
    done = light.command(*line)
    assert (done.returncode, "1 undecodable" in done.stdout) == (0, True), done.stderr
    request = place.local_request()
    driver.run_inline(RunRequest(request.corpus, request.table, request.spec, request.settings))
    place.assert_same_as_local()
    place.assert_tidy()
    before = place.parts()
    done = light.command(*line)
    assert (done.returncode, "up to date" in done.stdout) == (0, True), done.stderr
    assert place.parts() == before
    assert any("errors" in line for line in table_status(f"{here}/table", {}).lines())
    assert error_rows(f"{here}/table", {})["path"].to_pylist() == ["rock/bad.wav"]


def test_the_command_with_storage_options(place: Place) -> None:
    for path in audio_files.make_corpus(place.folder / "corpus", {"rock": 2}, seconds=0.2):
        place.put(str(path.relative_to(place.folder)), path.read_bytes())
    here = f"s3://{place.bucket}"
    line = ["extract", f"{here}/corpus", "-o", f"{here}/table", "--preset", "tutorial-v1"]
    done = light.command(*line, "--workers", "1", "--debug", *options_of(place.s3))
    assert done.returncode == 0, done.stderr
    assert len(read_table(place.downloaded())[0]) == 2
    texts = [data.decode("latin-1") for data in place.contents("table/_job").values()]
    for text in [*texts, done.stdout, done.stderr]:
        assert place.s3.secret not in text
        assert place.s3.key not in text
    assert json.loads(place.get(f"table/{LEASE}"))["released"] is True
