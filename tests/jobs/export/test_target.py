"""The file that is written: when it appears, and what is not overwritten."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from pathlib import Path
from typing import Any

import fsspec
import pytest

from jobs import JobError, export_table
from jobs.errors import EXIT_USAGE, UsageError
from jobs.export.target import check_apart, new_file
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from tests.conftest import S3
from tests.jobs.export.tables import make_table, spec_of
from tests.jobs.table.test_conditional_writes import refused
from tests.support import driver
from tests.support.light import invoke


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = spec_of({"features": ["rms"]})
    return make_table(tmp_path_factory.mktemp("target"), spec, {"a/a.wav": "a"})


def test_the_command(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "x.csv"
    done = invoke("export", table, "--output", output)
    assert (done.returncode, done.stdout) == (0, f"{output}: 1 rows, 29 columns\n"), done.stderr
    before = output.read_bytes()
    denied = invoke("export", table, "--output", output)
    assert denied.returncode == EXIT_USAGE
    assert denied.stderr == (
        f"featurelib: {output} exists: give another --output, or --force to replace it\n"
    )
    assert output.read_bytes() == before
    output.write_bytes(b"old")
    replaced = invoke("export", table, "--as", "csv", "--output", output, "--force", "--json")
    assert replaced.returncode == 0
    assert '"rows": 1' in replaced.stdout
    assert output.read_bytes() == before
    assert os.listdir(output.parent) == ["x.csv"]


def test_what_to_make_must_be_said(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"say --as gtzan\|fma"):
        export_table(table, tmp_path / "features")
    with pytest.raises(UsageError, match="no layout or format 'excel': there are gtzan"):
        export_table(table, tmp_path / "x.csv", layout="excel")


@pytest.mark.parametrize("force", [False, True])
def test_after_an_error_the_file_is_as_before(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "x"
    if force:
        path.write_bytes(b"old")
    with contextlib.suppress(ZeroDivisionError), new_file(str(path), {}, force=force) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["x"] * force
    assert not force or path.read_bytes() == b"old"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x"
    writing = contextlib.ExitStack()
    writing.enter_context(new_file(str(path), {}, force=False)).write(b"new")
    path.write_bytes(b"of somebody else")
    with pytest.raises(UsageError, match="exists"):
        writing.close()
    assert path.read_bytes() == b"of somebody else"
    assert len(list(tmp_path.iterdir())) == 1


def test_places_that_are_refused(table: Path, tmp_path: Path) -> None:
    for output, why in (
        (tmp_path, "is a folder"),
        ("-", "give its name, not -"),
        (f"{tmp_path}/", "is a folder"),
        (table / "features" / "x.csv", "is in the table"),
        ("/dev/null", "no regular file"),
    ):
        with pytest.raises(UsageError, match=why):
            export_table(table, output, layout="csv", force=True)
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"cannot write .*Not a directory"):
        export_table(table, tmp_path / "file" / "x.csv")


def test_a_url(table: Path) -> None:
    output = "memory://exports/x.csv"
    export_table(table, output)
    with pytest.raises(UsageError, match="exists"):
        export_table(table, output)
    export_table(table, output, force=True)
    with fsspec.open(output) as file:
        assert file.read().startswith(b"path,channel,segment,label,")


def test_s3(table: Path, s3: S3) -> None:
    bucket = s3.bucket()
    options = s3.storage_options
    output = f"s3://{bucket}/exports/x.parquet"
    export_table(table, output, storage_options=options)
    with pytest.raises(UsageError, match="exists"):
        export_table(table, output, storage_options=options)
    export_table(table, output, storage_options=options, force=True)
    listed = s3.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["exports/x.parquet"]


def test_of_a_link_the_file_behind_it_is_written(table: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, file = tmp_path / "link.csv", tmp_path / "real" / "file.csv"
    link.symlink_to(file)
    export_table(table, link)
    written = file.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        export_table(table, link)
    file.write_bytes(b"old")
    export_table(table, link, force=True)
    assert link.is_symlink()
    assert file.read_bytes() == written
    assert os.listdir(file.parent) == ["file.csv"]


def test_a_stream_of_a_process_is_no_place_for_a_file(table: Path, tmp_path: Path) -> None:
    with (
        (tmp_path / "out").open("wb") as file,
        pytest.raises(UsageError, match="no regular file"),
    ):
        export_table(table, f"/proc/self/fd/{file.fileno()}", layout="csv", force=True)
    assert (tmp_path / "out").read_bytes() == b""


def test_a_table_is_known_by_other_names(table: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(table)
    for output in (tmp_path / "alias" / "features" / "x.parquet", f"file://{table}/x.parquet"):
        with pytest.raises(UsageError, match="is in the table"):
            export_table(table, output)
        with pytest.raises(UsageError, match="is in the table"):
            export_table(tmp_path / "alias", output)


def test_slips(table: Path) -> None:
    for output, layout, why in (
        ("~/x.csv", None, "replaces ~ only without quotes"),
        ("s3:/bucket/x.csv", None, "two slashes"),
        ("x.parquet", "csv", r"give a name ending in \.csv"),
        ("x.csv", "arrow", r"give a name ending in \.arrow"),
    ):
        with pytest.raises(UsageError, match=why):
            export_table(table, output, layout=layout)


def test_a_name_of_the_longest_length(table: Path, tmp_path: Path) -> None:
    name = "\u3042" * 83 + "a.csv"  # 254 bytes; a file name has at most 255
    export_table(table, tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def _limited(table: Path, output: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with pytest.raises(JobError, match=rf"cannot write {output}: File too large"):
        export_table(table, output)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "npz"])
def test_what_cannot_be_written_is_told(table: Path, tmp_path: Path, form: str) -> None:
    assert driver.exit_code_of(_limited, table, tmp_path / f"x.{form}") == 0
    assert os.listdir(tmp_path) == []


def test_a_bucket_that_does_not_exist(table: Path, s3: S3) -> None:
    with pytest.raises(JobError, match=r"cannot write s3://no-such-bucket/x\.csv: .*no such"):
        export_table(table, "s3://no-such-bucket/x.csv", storage_options=s3.storage_options)


def test_s3_without_conditional_writes(
    table: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = S3Store._send

    async def without(store: S3Store, method: str, **arguments: Any) -> dict[str, Any]:
        if "IfNoneMatch" in arguments:
            raise refused(501)
        return await send(store, method, **arguments)

    monkeypatch.setattr(S3Store, "_send", without)
    output = f"s3://{s3.bucket()}/x.csv"
    export_table(table, output, storage_options=s3.storage_options)
    with pytest.raises(UsageError, match="exists"):
        export_table(table, output, storage_options=s3.storage_options)


def test_more_than_one_request_takes(table: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.storage.s3.MAX_PUT_BYTES", 10)
    with pytest.raises(JobError, match="export it to a local file"):
        export_table(table, f"s3://{s3.bucket()}/x.csv", storage_options=s3.storage_options)


def test_an_s3_table_is_known_by_other_names(s3: S3) -> None:
    bucket, options = s3.bucket(), s3.storage_options
    table = open_store(f"s3://{bucket}/table", options)
    for name in (f"s3a://{bucket}/table/x.csv", f"s3://{bucket}//table/features/x.parquet"):
        with pytest.raises(UsageError, match="is in the table"):
            check_apart(table.url, name, options)
    check_apart(table.url, f"s3://{bucket}/table.csv", options)
