"""The file that is written: when it appears, and what is not overwritten."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from jobs import JobError, export_table
from jobs.errors import EXIT_USAGE, UsageError
from jobs.export.target import new_file
from tests.conftest import S3
from tests.jobs.export.tables import make_table, spec_of
from tests.support.light import invoke


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = spec_of({"features": ["rms"]})
    return make_table(tmp_path_factory.mktemp("target"), spec, {"a/a.wav": "a"})


def test_the_command(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "x.csv"
    done = invoke("export", table, "--output", output)
    assert (done.returncode, done.stdout) == (0, f"{output}: 1 rows, 28 columns\n"), done.stderr
    before = output.read_bytes()
    refused = invoke("export", table, "--as", "parquet", "--output", output)
    assert refused.returncode == EXIT_USAGE
    assert refused.stderr == (
        f"featurelib: {output} exists: give another --output, or --force to replace it\n"
    )
    assert output.read_bytes() == before
    replaced = invoke("export", table, "--as", "parquet", "--output", output, "--force", "--json")
    assert replaced.returncode == 0
    assert '"rows": 1' in replaced.stdout
    assert pq.read_table(output).num_rows == 1
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
