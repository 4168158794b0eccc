"""Lists that state sizes and versions: taken at their word, without a request for each file."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jobs.corpus.stated import add_urls, nanoseconds, stated_of, take_stated
from jobs.diagnostics.run_report import RunReport
from jobs.errors import UsageError
from jobs.relocation import relocate
from jobs.storage.base import Stated
from jobs.storage.opening import open_store
from jobs.table.changes import Change
from tests.conftest import S3
from tests.support import driver, light
from tests.support.quick import slow_but
from tests.support.s3_double import Double, double
from tests.support.tables import assert_tidy, read_table, write_files

FILES = {f"{label}/{n} é.wav": f"play {label} {n}" for label in ("pop", "rock") for n in range(4)}
N = len(FILES)


class Bucket:
    """A bucket of files behind a double that counts requests, and a list of them."""

    def __init__(self, s3: S3, service: Double, folder: Path) -> None:
        self.name, self._client, self._service = s3.bucket(), s3.client, service
        self.table = folder / "table"
        self._options = [
            f"key={s3.key}",
            f"secret={s3.secret}",
            f"endpoint_url={service.s3.endpoint}",
        ]
        for key, text in FILES.items():
            self.put(key, text)

    @property
    def settings(self) -> dict[str, Any]:
        return {"storage_options": [f"corpus:{option}" for option in self._options]}

    def put(self, key: str, text: str) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=text.encode())

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def inventory(self) -> dict[str, list[Any]]:
        """Return the columns of S3 Inventory, with ETags as it has them."""
        found = self._client.list_objects_v2(Bucket=self.name)["Contents"]
        return {
            "bucket": [self.name] * len(found),
            "key": [item["Key"] for item in found],
            "size": [item["Size"] for item in found],
            "last_modified_date": [item["LastModified"] for item in found],
            "e_tag": [item["ETag"].strip('"') for item in found],
            "storage_class": [item["StorageClass"] for item in found],
        }

    def tags(self) -> dict[str, str]:
        found = self.inventory()
        urls = map(self.url, found["key"])
        return dict(zip(urls, found["e_tag"], strict=True))

    def run(self, corpus: Path, **settings: Any) -> tuple[RunReport, Counter[str]]:
        """Run the job; return its report, and the requests by method."""
        self._service.seen.clear()
        request = driver.request_for(corpus, self.table, **self.settings, **settings)
        report = driver.run_inline(request)
        return report, Counter(method for method, _, _ in self._service.seen)


@pytest.fixture
def bucket(s3: S3, tmp_path: Path) -> Iterator[Bucket]:
    with double(s3) as service:
        yield Bucket(s3, service, tmp_path)


def write_list(path: Path, columns: dict[str, list[Any]]) -> Path:
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pa.csv.write_csv(table, path)
    return path


def versions(table: Path) -> dict[str, str]:
    rows = read_table(table)[0]
    return dict(zip(rows["path"], rows["source_version"], strict=True))


def _as_inventory(bucket: Bucket) -> dict[str, list[Any]]:
    return bucket.inventory()


def _as_catalogue(bucket: Bucket) -> dict[str, list[Any]]:
    found = bucket.inventory()
    return {
        "path": [bucket.url(key) for key in found["key"]],
        "Size": [str(size) for size in found["size"]],
        "ETag": [f'"{tag}"' for tag in found["e_tag"]],
        "storage_class": found["storage_class"],
    }


def _by_version(bucket: Bucket) -> dict[str, list[Any]]:
    found = _as_catalogue(bucket)
    return {**found, "VERSION": bucket.inventory()["e_tag"], "ETag": [""] * N}


@pytest.mark.parametrize("name", slow_but(["list.parquet"], ["list.parquet", "list.csv"]))
@pytest.mark.parametrize(
    "columns", slow_but([_by_version], [_as_inventory, _as_catalogue, _by_version])
)
def test_no_file_is_looked_up(bucket: Bucket, tmp_path: Path, columns: Any, name: str) -> None:
    file = write_list(tmp_path / name, columns(bucket))
    report, asked = bucket.run(file)
    assert (report.n_files, asked) == (N, {"GET": N})
    assert versions(bucket.table) == bucket.tags()
    rows = read_table(bucket.table)[0]
    assert set(rows["storage_class"]) == {"STANDARD"}
    assert not {"size", "etag", "e_tag", "version", "bucket", "key"} & {c.lower() for c in rows}

    report, asked = bucket.run(file)
    assert (report.counts, asked) == ({Change.UNCHANGED: N}, {})
    report, asked = bucket.run(file, verify_list=True)
    assert (report.counts, asked) == ({Change.UNCHANGED: N}, {"HEAD": N})


def test_a_list_that_is_out_of_date_costs_one_look(bucket: Bucket, tmp_path: Path) -> None:
    file = write_list(tmp_path / "list.csv", _as_catalogue(bucket))
    stale = bucket.url("pop/0 é.wav")
    bucket.put("pop/0 é.wav", "play it otherwise")
    bucket.run(file)
    assert versions(bucket.table)[stale] == bucket.tags()[stale]
    for _ in range(2):
        report, asked = bucket.run(file)
        assert (report.counts, asked) == ({Change.UNCHANGED: N}, {"HEAD": 1})
    bucket.put("pop/0 é.wav", "play it a third way")
    report, asked = bucket.run(file)
    assert report.counts == {Change.CHANGED: 1, Change.UNCHANGED: N - 1}
    assert asked == {"HEAD": 1, "GET": 1}
    assert versions(bucket.table) == bucket.tags()


def test_a_new_list_tells_what_changed(bucket: Bucket, tmp_path: Path) -> None:
    bucket.run(write_list(tmp_path / "list.csv", _as_catalogue(bucket)))
    bucket.put("pop/0 é.wav", "play it otherwise")
    report, asked = bucket.run(write_list(tmp_path / "list.csv", _as_catalogue(bucket)))
    assert report.counts == {Change.CHANGED: 1, Change.UNCHANGED: N - 1}
    assert asked == {"HEAD": 1, "GET": 1}


def test_times_alone_extract_nothing_twice(bucket: Bucket, tmp_path: Path) -> None:
    columns = _as_inventory(bucket)
    del columns["e_tag"]
    file = write_list(tmp_path / "list.parquet", columns)
    report, asked = bucket.run(file)
    assert (report.n_files, asked) == (N, {"GET": N})
    for _ in range(2):
        report, asked = bucket.run(file)
        assert (report.counts, asked) == ({Change.UNCHANGED: N}, {"HEAD": N})


def test_rows_without_a_size_or_version_are_looked_up(bucket: Bucket, tmp_path: Path) -> None:
    columns = _as_catalogue(bucket)
    columns["Size"][0], columns["ETag"][1] = "", ""
    columns["path"].append(bucket.url("gone.wav"))
    for name in ("Size", "ETag", "storage_class"):
        columns[name].append("")
    file = write_list(tmp_path / "list.csv", columns)
    report, asked = bucket.run(file)
    assert report.failures == {"vanished": 1}
    assert asked == {"HEAD": 3, "GET": N + 1}
    assert versions(bucket.table) == bucket.tags()


def test_files_that_are_gone_are_errors(bucket: Bucket, tmp_path: Path) -> None:
    file = write_list(tmp_path / "list.csv", _as_catalogue(bucket))
    bucket._client.delete_object(Bucket=bucket.name, Key="pop/0 é.wav")
    report, _ = bucket.run(file)
    assert (report.n_files, report.failures) == (N - 1, {"vanished": 1})


# local lists


@pytest.mark.slow
def test_results_of_a_killed_run_are_used_whatever_the_list_states(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", FILES)
    columns = {"path": list(FILES), "size": [1] * N, "version": ["from a catalogue"] * N}
    file = write_list(corpus / "list.parquet", columns)
    request = driver.request_for(file, tmp_path / "table", buckets=2)
    assert driver.exit_code_of(driver.run_killed_at_step, request, 1, "merge") == -9
    report = driver.run_inline(request)
    assert (report.n_reused, report.n_files, report.n_read) == (N, N, N)
    assert driver.run_inline(request).counts == {Change.UNCHANGED: N}
    assert driver.run_inline(
        driver.request_for(file, tmp_path / "table", buckets=2, verify_list=True)
    ).counts == {Change.UNCHANGED: N}
    assert_tidy(tmp_path / "table")

    new = corpus.rename(tmp_path / "new")
    assert relocate(str(tmp_path / "table"), str(new / "list.parquet")).n_match == N


def test_an_old_list_does_not_bring_an_old_version_back(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", FILES)
    found = open_store(str(corpus)).stat(list(FILES))
    columns: dict[str, list[Any]] = {
        "path": list(FILES),
        "size": [entry.size for entry in found if entry],
        "version": [entry.version for entry in found if entry],
    }
    request = driver.request_for(
        write_list(corpus / "list.parquet", columns), tmp_path / "table", buckets=1
    )
    assert driver.exit_code_of(driver.run_killed_at_step, request, 1, "merge") == -9
    write_files(corpus, {"pop/0 é.wav": "play it otherwise"})
    light.run(corpus, tmp_path / "table", buckets=1, include=["pop/0*"])
    after = versions(tmp_path / "table")
    report = driver.run_inline(request)
    assert report.counts == {Change.UNCHANGED: 1, Change.NEW: N - 1}
    assert report.n_reused == N - 1
    assert after.items() <= versions(tmp_path / "table").items()


@pytest.mark.parametrize("verify_list", [False, True])
def test_local_files_are_taken_by_their_time(tmp_path: Path, verify_list: bool) -> None:
    corpus = write_files(tmp_path / "corpus", FILES)
    status = [os.stat(corpus / name) for name in FILES]
    columns = {
        "path": list(FILES),
        "size": [s.st_size for s in status],
        "last_modified": [f"{s.st_mtime_ns // 10**9}.{s.st_mtime_ns % 10**9:09d}" for s in status],
    }
    file = write_list(corpus / "list.csv", columns)
    driver.run_inline(driver.request_for(file, tmp_path / "table"))
    write_files(corpus, {"pop/0 é.wav": "play it otherwise"})
    report = driver.run_inline(
        driver.request_for(file, tmp_path / "table", verify_list=verify_list)
    )
    changed = {Change.CHANGED: 1} if verify_list else {}
    assert report.counts == {Change.UNCHANGED: N - len(changed)} | changed


def test_the_command(tmp_path: Path) -> None:
    file = write_list(
        write_files(tmp_path / "corpus", FILES) / "list.csv",
        {"path": ["gone.wav"], "size": ["1"], "etag": ["x"]},
    )
    done = light.invoke("extract", file, "-o", tmp_path / "t", "--verify-list", "--dry-run")
    assert (done.stdout.split(), done.returncode) == (["1", "new"], 0)


# columns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T12:00:00Z", 1714564800 * 10**9),
        ("2024-05-01T12:00:00.000Z", 1714564800 * 10**9),
        ("2024-05-01 14:00:00.123456789+02:00", 1714564800_123456789),
        ("2024-05-01 12:00:00", 1714564800 * 10**9),
        ("1714564800", 1714564800 * 10**9),
        ("1714564800.1234567891", 1714564800_123456789),
        ("Wed, 01 May 2024 12:00:00 GMT", None),
        ("2024-13-01T12:00:00Z", None),
        ("yesterday", None),
    ],
)
def test_times(text: str, expected: int | None) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Berlin")]
)
def test_times_of_arrow(kind: pa.DataType) -> None:
    times = pa.array([datetime.datetime(2024, 5, 1, 12, 0, 0, 123000), None]).cast(kind)
    rows = pa.table({"path": ["a", "b"], "SIZE": [1.0, None], "Last_Modified": times, "x": [1, 2]})
    rest, stated = take_stated(rows, "list")
    assert rest.column_names == ["path", "x"]
    assert stated is not None
    first, second = (stated_of(**row) for row in stated.to_pylist())
    assert (first, second) == (Stated(1, modified=1714564800_123000000), None)


@pytest.mark.parametrize("names", [["size"], ["etag"], ["size", "storage_class"]])
def test_sizes_or_versions_alone_are_columns_as_others(names: list[str]) -> None:
    rows = pa.table({"path": ["a"], **{name: ["1"] for name in names}})
    assert take_stated(rows, "list") == (rows, None)


@pytest.mark.parametrize(
    ("size", "message"),
    [("1 kB", "is no number of bytes"), ("-1", "has the size -1: ")],
)
def test_sizes_that_are_none(size: str, message: str) -> None:
    rows = pa.table({"path": ["a"], "Size": [size], "etag": ["x"]})
    with pytest.raises(UsageError, match=f"list.csv: the column 'Size' {message}"):
        take_stated(rows, "list.csv")


def test_buckets_and_keys() -> None:
    rows = pa.table({"Bucket": ["b", "b"], "Key": ["x/a.wav", None], "y": [1, 2]})
    assert add_urls(rows).to_pydict() == {"y": [1, 2], "path": ["s3://b/x/a.wav", None]}
    assert add_urls(rows.drop_columns("Key")) == rows.drop_columns("Key")


# versions


def test_versions_are_those_of_the_store(tmp_path: Path) -> None:
    store = open_store(str(write_files(tmp_path, {"a.wav": "123"})))
    [entry] = store.stat(["a.wav"])
    assert entry is not None
    stated = Stated(3, modified=os.stat(tmp_path / "a.wav").st_mtime_ns)
    assert store.stated_version("a.wav", stated) == entry.version
    for other in (Stated(4, modified=stated.modified), Stated(3, "x"), Stated(3, modified="x")):
        assert store.stated_version("a.wav", other) != entry.version
    assert store.stated_version("a.wav", Stated(3, version="v")) == "v"


@pytest.mark.parametrize("tag", ['"abc"', "abc"])
def test_tags_on_the_web_are_in_quotes(tag: str) -> None:
    store = open_store("http://127.0.0.1:1")
    assert store.stated_version("a.wav", Stated(16, tag)) == '"abc"-10'
