"""What a user can get wrong about a corpus and a table: one clear line, and an untouched table."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import JobError
from jobs.storage.local import LocalStore
from tests.support.light import (
    FEATURELIB,
    command,
    digest,
    features,
    invoke,
    published,
    run,
    without_privileges,
    write,
)
from tests.support.quick import slow_but
from tests.support.refusals import TUTORIAL, Place, refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    """Give a corpus and its table, and see that the table is not touched."""
    with made.untouched():
        yield made


def test_the_table_is_up_to_date(place: Place) -> None:
    """What the other tests change is all that there is to refuse."""
    result = place.extract()
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


# the corpus


def test_a_missing_corpus(place: Place, tmp_path: Path) -> None:
    result = invoke("extract", tmp_path / "nowhere", "-o", place.table)
    refused(result, 1, f"there is no folder {tmp_path}/nowhere", "check")


def test_an_empty_corpus(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "cover.jpg")
    result = invoke("extract", tmp_path, "-o", tmp_path.with_name("t2"))
    refused(result, 1, f"no audio files in {tmp_path}", "passed over: 1 .jpg", "give another")


def test_a_glob_without_a_match(place: Place, tmp_path: Path) -> None:
    result = invoke("extract", f"{place.music}/*/*.ogg", "-o", place.table, *TUTORIAL)
    refused(result, 1, "no audio files in", "*.ogg")


def test_a_file_as_corpus(place: Place) -> None:
    result = invoke("extract", place.music / "rock" / "a.wav", "-o", place.table)
    refused(result, 1, "is one file", "featurelib show")


@pytest.fixture
def locked(place: Place) -> Iterator[Callable[[Path], Path]]:
    """Give a function that takes all permissions away until the test ends."""
    taken: list[tuple[Path, int]] = []

    def take_away(path: Path) -> Path:
        taken.append((path, path.stat().st_mode))
        path.chmod(0)
        return path

    yield take_away
    for path, mode in reversed(taken):
        path.chmod(mode)


def test_a_corpus_without_permission(place: Place, locked: Callable[[Path], Path]) -> None:
    locked(place.music)
    refused(place.extract(unprivileged=True), 1, "no permission to read", str(place.music), "ask")


def test_a_corpus_below_a_folder_without_permission(tmp_path: Path, place: Place) -> None:
    write(tmp_path / "closed" / "music" / "a.wav")
    (tmp_path / "closed").chmod(0)
    try:
        result = command(
            "extract", tmp_path / "closed" / "music", "-o", tmp_path / "t", unprivileged=True
        )
        refused(result, 1, "no permission to read", "closed/music")
    finally:
        (tmp_path / "closed").chmod(0o700)


@pytest.mark.parametrize("mode", slow_but([0o400], [0, 0o400]))
def test_an_unreadable_folder_is_no_smaller_corpus(place: Place, mode: int) -> None:
    folder = place.music / "it's [x]"
    write(folder / "more" / "e.wav")
    folder.chmod(mode)
    try:
        line = refused(place.extract(unprivileged=True), 1, "no permission to read", str(folder))
        option = line[line.index("--exclude") :]
        # what the message says to type works
        line = [FEATURELIB, "extract", str(place.music), "-o", str(place.table), *TUTORIAL]
        script = f'exec "$0" "$@" {option}'
        again = subprocess.run(
            ["sh", "-c", script, *without_privileges(line)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 0, again.stderr
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_list_that_is_not_there_or_not_one(place: Place, tmp_path: Path) -> None:
    result = invoke("extract", tmp_path / "list.csv", "-o", place.table)
    refused(result, 1, f"cannot find {tmp_path}/list.csv", "check")
    result = invoke("extract", write(tmp_path / "list.csv", "a,b\n1,2,3\n"), "-o", place.table)
    refused(result, 2, "list.csv cannot be read", "Expected 2 columns, got 3")
    result = invoke("extract", write(tmp_path / "list.parquet"), "-o", place.table)
    refused(result, 2, "list.parquet cannot be read")


def test_a_path_that_a_list_has_twice(place: Place) -> None:
    file = write(place.music / "list.txt", "rock/a.wav\nrock/b.wav\n./rock/a.wav\n")
    result = invoke("extract", file, "-o", place.table, *TUTORIAL)
    refused(result, 2, "'rock/a.wav' is listed twice", "keep one")


# the table


def test_table_and_corpus_in_each_other(place: Place) -> None:
    result = invoke("extract", place.music, "-o", place.music / "t", *TUTORIAL)
    refused(result, 2, f"{place.music}/t would be inside the corpus", "--output")
    assert not (place.music / "t").exists()
    result = invoke("extract", place.music, "-o", place.folder, *TUTORIAL)
    refused(result, 2, f"{place.music} is inside the table", "--output")
    result = invoke("extract", place.music, "-o", place.music, *TUTORIAL)
    refused(result, 2, "would be inside the corpus")


def test_another_folder_as_table(place: Place, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "part-00000.parquet")
    before = digest(tmp_path)
    result = invoke("extract", place.music, "-o", tmp_path, *TUTORIAL)
    refused(result, 1, f"{tmp_path} holds other files (part-00000.parquet)", "--output")
    assert digest(tmp_path) == before


def test_a_file_as_table(place: Place, tmp_path: Path) -> None:
    file = write(tmp_path / "table", "mine")
    for location in (file, file / "below"):
        result = invoke("extract", place.music, "-o", location, *TUTORIAL)
        refused(result, 1, str(location), "give a folder")
    assert file.read_text() == "mine"


def test_the_table_of_another_corpus(place: Place) -> None:
    result = invoke("extract", place.music / "rock", "-o", place.table, *TUTORIAL)
    refused(result, 2, f"table of the corpus {place.music}, not of {place.music}/rock", "--output")


def test_a_table_of_another_spec(place: Place) -> None:
    result = invoke("extract", place.music, "-o", place.table)
    refused(result, 2, "was made with another spec (", "; and ", " more)", "--output")


def test_other_labels_and_buckets(place: Place) -> None:
    refused(place.extract("--labels", "parent"), 2, "--labels none", "parent", "--output")
    refused(place.extract("--buckets", "7"), 2, "--buckets 1", "7", "--output")
    refused(place.extract("--partition-by", "label"), 2, "there are no labels", "--labels")


def test_a_table_of_another_format(made: Place, tmp_path: Path) -> None:
    table = shutil.copytree(made.table, tmp_path / "table")
    info = json.loads((table / "_job" / "table.json").read_text())
    (table / "_job" / "table.json").write_text(json.dumps({**info, "format": 99}))
    before = digest(table)
    for line in (
        ("extract", made.music, "-o", table, *TUTORIAL),
        ("status", table),
        ("errors", table),
    ):
        refused(invoke(*line), 1, f"{table} has the table format 99", "reads 3")
    (table / "_job" / "table.json").write_text("{")
    refused(invoke("extract", made.music, "-o", table), 1, "table.json cannot be read")
    column = dict.fromkeys(("name", "unit", "definition", "librosa"), "x")
    for damaged in (
        "[" * 100_000,
        json.dumps({**info, "columns": [{**column, "type": "no type"}]}),
        json.dumps(
            {**info, "columns": [{**column, "type": "list<" * 2000 + "float" + ">" * 2000}]}
        ),
        json.dumps({**info, "columns": []}),
        json.dumps({**info, "carried": ["genre"]}),
        json.dumps({**info, "n_buckets": "2"}),
    ):
        (table / "_job" / "table.json").write_text(damaged)
        refused(invoke("status", table), 1, "table.json cannot be read", "restore it")
    (table / "_job" / "table.json").write_text(json.dumps(info))
    assert digest(table).keys() == before.keys()


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_part(made: Place, tmp_path: Path, damage: str) -> None:
    table = shutil.copytree(made.table, tmp_path / "table")
    part = table / "features" / "part-00000.parquet"
    data = bytearray(part.read_bytes())
    if damage == "cut":
        part.write_bytes(data[:-100])
    elif damage == "flipped":
        column = pq.ParquetFile(part).metadata.row_group(0).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        end = start + column.total_compressed_size
        data[end - 1] ^= 0x55  # in the last page of the paths
        part.write_bytes(data)
    else:
        pq.write_table(pa.table({"path": ["rock/a.wav"]}), part)
    before = published(table)
    result = invoke("extract", made.music, "-o", table, *TUTORIAL)
    refused(result, 1, "features/part-00000.parquet is damaged", "delete it and run")
    status = invoke("status", table)
    assert "features/part-00000.parquet is damaged" in status.stdout + status.stderr
    assert published(table) == before
    part.unlink()  # as the message advises; the next run makes the rows again
    run(made.music, table)
    assert len(features(table)) == 3


def test_an_unwritable_target(place: Place, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        result = command("extract", place.music, "-o", tmp_path / "t", *TUTORIAL, unprivileged=True)
        refused(result, 1, "no permission for", f"{tmp_path}/t", "--output")
    finally:
        tmp_path.chmod(0o700)
    assert not (tmp_path / "t").exists()


def test_a_table_without_permission(place: Place, locked: Callable[[Path], Path]) -> None:
    locked(place.table)
    refused(place.extract(unprivileged=True), 1, "no permission", str(place.table))
    refused(command("status", place.table, unprivileged=True), 1, "no permission to read")


def test_a_full_disk(made: Place, tmp_path: Path) -> None:
    table = shutil.copytree(made.table, tmp_path / "table")
    before = published(table)
    (tmp_path / "labels.csv").write_text("path,label\nrock/a.wav,x\n")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    result = command(
        *("extract", made.music, "-o", table, *TUTORIAL, "--quiet", "--recompute"),
        before=limit,
    )
    refused(result, 1, str(table), "File too large")
    assert published(table) == before


def test_a_disk_that_fills_up_at_any_moment(
    made: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(table: Path) -> list[tuple]:
        names = ["path", "label", "rmse"]
        return list(zip(*(features(table)[name].to_pylist() for name in names), strict=True))

    replace = LocalStore.replace
    options = {"labels": "parent", "buckets": 2}
    for room in range(100):
        left = room

        def write_until_full(*args: Any, **kwargs: Any) -> str:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return replace(*args, **kwargs)

        table = tmp_path / f"t{room}"
        monkeypatch.setattr(LocalStore, "replace", write_until_full)
        message = ""
        try:
            run(made.music, table, **options)
        except JobError as error:
            message = str(error)
        monkeypatch.setattr(LocalStore, "replace", replace)
        if not message:
            break
        assert "No space left on device" in message
        assert str(table) in message
        run(made.music, table, **options)
        assert len(rows(table)) == 3
    assert room > 5
    assert rows(table) == rows(tmp_path / "t0")


def test_the_children_s_limit_is_not_ours() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
