"""Reports of S3 Inventory as corpora: the same files as the bucket has, without listing it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.diagnostics.run_report import RunReport
from jobs.errors import CorpusError, UsageError
from jobs.table.changes import Change
from tests.conftest import S3
from tests.support import driver
from tests.support.quick import slow_but
from tests.support.s3_double import Double, double
from tests.support.tables import read_table

KEYS = ["pop/1 é.wav", "pop/a+b.wav", "rock/100%.flac", 'rock/"q", r.wav', "rock/%41.mp3", "0.wav"]
CSV = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
N = len(KEYS)


class Buckets:
    """A bucket of files, and one of reports on it, behind a double that counts requests."""

    def __init__(self, s3: S3, service: Double, folder: Path) -> None:
        self.source, self.reports, self.table = s3.bucket(), s3.bucket(), folder / "table"
        self.client, self._service = s3.client, service
        self._options = {"key": s3.key, "secret": s3.secret, "endpoint_url": service.s3.endpoint}
        for key in KEYS:
            self.put(key, f"play {key}")
        for key in ("cover.jpg", "pop/.hidden.wav", "folder/"):
            self.put(key, "x")

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket=self.source, Key=key, Body=text.encode())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of a report: current objects, an old version and a delete marker."""
        found = self.client.list_objects_v2(Bucket=self.source)["Contents"]
        rows = [
            {
                "bucket": self.source,
                "key": item["Key"],
                "version_id": "v1",
                "is_latest": True,
                "is_delete_marker": False,
                "size": item["Size"],
                "last_modified_date": item["LastModified"],
                "e_tag": item["ETag"].strip('"'),
                "storage_class": "STANDARD",
            }
            for item in found
        ]
        old = {**rows[0], "is_latest": False, "size": 1, "e_tag": "0" * 32}
        gone = {**rows[0], "key": "gone.wav", "is_delete_marker": True, "size": None, "e_tag": None}
        return [old, *rows, gone]

    def report(self, form: str, columns: list[str] | None = None, n_files: int = 2) -> str:
        """Write a report and return the location of its manifest."""
        rows, files = self.rows(), []
        schema = ", ".join(columns) if columns else CSV if form == "CSV" else "message s3.inventory"
        for i in range(n_files):
            ending = "csv.gz" if form == "CSV" else "parquet"
            name = f"to/data of {i}.{ending}"
            write = _as_csv if form == "CSV" else _as_parquet
            data = write(rows[i::n_files], columns)
            self.client.put_object(Bucket=self.reports, Key=name, Body=data)
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            files.append({"key": name, "size": len(data), "MD5checksum": digest})
        manifest = {
            "sourceBucket": self.source,
            "destinationBucket": f"arn:aws:s3:::{self.reports}",
            "version": "2016-11-30",
            "fileFormat": form,
            "fileSchema": schema,
            "files": files,
        }
        key = "to/2025-01-01T01-00Z/manifest.json"
        self.client.put_object(Bucket=self.reports, Key=key, Body=json.dumps(manifest).encode())
        return f"s3://{self.reports}/{key}"

    def run(self, corpus: str | Path, **settings: Any) -> tuple[RunReport, Counter[str]]:
        """Run the job; return its report, and the requests for files by method."""
        self._service.seen.clear()
        options = [f"corpus:{name}={value}" for name, value in self._options.items()]
        request = driver.request_for(corpus, self.table, storage_options=options, **settings)
        report = driver.run_inline(request)
        paths = {f"/{self.source}/{quote(key)}" for key in [*KEYS, "new.wav"]}
        return report, Counter(m for m, path, _ in self._service.seen if path in paths)

    def versions(self) -> dict[str, str]:
        rows = read_table(self.table)[0]
        return dict(zip(rows["path"], rows["source_version"], strict=True))

    def tags(self) -> dict[str, str]:
        found = self.client.list_objects_v2(Bucket=self.source)["Contents"]
        tags = {item["Key"]: item["ETag"].strip('"') for item in found}
        return {key: tags[key] for key in KEYS if key in tags}


def _as_csv(rows: list[dict[str, Any]], columns: list[str] | None) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for row in rows:
        values = {**row, "key": quote_plus(row["key"], safe="/")}
        values = {name.replace("_", "").replace("date", ""): v for name, v in values.items()}
        names = [c.strip().lower().replace("date", "") for c in columns or CSV.split(",")]
        shown = (values[name] for name in names)
        writer.writerow([str(v).lower() if isinstance(v, bool) else v for v in shown])
    return gzip.compress(text.getvalue().encode())


def _as_parquet(rows: list[dict[str, Any]], columns: list[str] | None) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    pq.write_table(table.select(columns) if columns else table, sink)
    return sink.getvalue()


@pytest.fixture
def buckets(s3: S3, tmp_path: Path) -> Iterator[Buckets]:
    with double(s3) as service:
        yield Buckets(s3, service, tmp_path)


@pytest.mark.parametrize("form", slow_but(["CSV"], ["CSV", "Parquet"]))
def test_a_report_is_taken_as_it_is(buckets: Buckets, form: str) -> None:
    manifest = buckets.report(form)
    report, asked = buckets.run(manifest, labels="parent")
    assert (report.n_files, report.n_errors, asked) == (N, 0, {"GET": N})
    assert buckets.versions() == buckets.tags()
    report, asked = buckets.run(manifest, labels="parent")
    assert (report.counts, asked) == ({Change.UNCHANGED: N}, {})
    # it is the same corpus as the bucket
    report, _ = buckets.run(f"s3://{buckets.source}", labels="parent")
    assert report.counts == {Change.UNCHANGED: N}


def test_a_local_copy_of_a_manifest(buckets: Buckets, tmp_path: Path) -> None:
    key = buckets.report("CSV").partition(f"{buckets.reports}/")[2]
    body = buckets.client.get_object(Bucket=buckets.reports, Key=key)["Body"].read()
    (tmp_path / "manifest.json").write_bytes(body)
    report, _ = buckets.run(tmp_path / "manifest.json", include=["rock/*"])
    assert report.n_files == 3


@pytest.mark.slow  # five runs
def test_a_report_that_is_out_of_date(buckets: Buckets) -> None:
    manifest = buckets.report("CSV")
    buckets.put("0.wav", "play it otherwise")
    buckets.run(manifest)
    assert buckets.versions() == buckets.tags()
    report, asked = buckets.run(manifest)  # one look, and no extraction
    assert (report.counts, asked) == ({Change.UNCHANGED: N}, {"HEAD": 1})
    # files that came after the report, and are in the table, stay there
    buckets.put("new.wav", "play new")
    buckets.run(f"s3://{buckets.source}")
    report, _ = buckets.run(manifest)
    assert report.counts == {Change.UNCHANGED: N, Change.MISSING: 1}
    report, _ = buckets.run(manifest, keep_missing=False, max_deleted=1.0)
    assert report.counts == {Change.UNCHANGED: N, Change.DELETED: 1}


@pytest.mark.parametrize(
    ("form", "columns", "match"),
    slow_but(
        [("ORC", None, "ORC, which is not read: choose Parquet or CSV")],
        [
            ("ORC", None, "ORC, which is not read: choose Parquet or CSV"),
            ("CSV", ["Key", "Size"], "no column etag: add Size and ETag"),
            ("Parquet", ["bucket", "key"], "no column size and no column etag"),
        ],
    ),
)
def test_reports_that_are_refused(
    buckets: Buckets, form: str, columns: list[str] | None, match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        buckets.run(buckets.report(form, columns))
    assert not (buckets.table / "features").exists()


def test_a_missing_data_file_is_no_smaller_corpus(buckets: Buckets) -> None:
    manifest = buckets.report("CSV")
    buckets.client.delete_object(Bucket=buckets.reports, Key="to/data of 1.csv.gz")
    with pytest.raises(CorpusError, match=r"to/data of 1.csv.gz, which .*manifest.json names"):
        buckets.run(manifest)
    buckets.client.put_object(Bucket=buckets.reports, Key="to/data of 1.csv.gz", Body=b"\x1f\x8bx")
    with pytest.raises(UsageError, match=r"data of 1\.csv\.gz is not the file that .*manifest"):
        buckets.run(manifest)
    key = manifest.partition(f"{buckets.reports}/")[2]
    body = buckets.client.get_object(Bucket=buckets.reports, Key=key)["Body"].read()
    body = body.replace(b"MD5checksum", b"other")
    buckets.client.put_object(Bucket=buckets.reports, Key=key, Body=body)
    with pytest.raises(UsageError, match=r"data of 1\.csv\.gz cannot be read"):
        buckets.run(manifest)


def test_looking_all_files_up_is_what_a_bucket_is_for(buckets: Buckets) -> None:
    with pytest.raises(UsageError, match=f"give s3://{buckets.source} instead"):
        buckets.run(buckets.report("CSV"), verify_list=True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"sourceBucket": "x"}'])
def test_other_files_of_that_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="no manifest of S3 Inventory"):
        driver.run_inline(driver.request_for(tmp_path / "manifest.json", tmp_path / "table"))
