"""What a user can get wrong: one clear line, the right exit code, and an untouched table."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import featurelib
from jobs.errors import JobError
from jobs.storage.local import LocalStore
from tests.support.audio_files import tone, write_audio, write_tone
from tests.support.light import (
    command,
    digest,
    errors,
    features,
    invoke,
    published,
    run,
    write,
)
from tests.support.quick import slow_but

TUTORIAL = ("--preset", "tutorial-v1")


def refused(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> str:
    """Check that a command ended with one line on standard error that has all parts in it."""
    assert result.returncode == code, result.stderr
    [line] = result.stderr.splitlines()
    assert line.startswith("featurelib: ")
    for part in parts:
        assert part in line
    assert result.stdout == ""
    assert len(line) < 1000
    return line


class Place:
    """A corpus and its table."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.music, self.table = folder, folder / "music", folder / "table"

    def extract(
        self, *options: str | Path, unprivileged: bool = False
    ) -> subprocess.CompletedProcess[str]:
        line = ("extract", self.music, "-o", self.table, *TUTORIAL, *options)
        return command(*line, unprivileged=True) if unprivileged else invoke(*line)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("place"))
    for name in ("rock/a.wav", "rock/b.wav", "jazz/c.wav"):
        write(place.music / name)
    write(place.music / "jazz" / "d.wav", "bad")
    run(place.music, place.table)
    return place


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    """Give a corpus and its table, and check afterwards that the table was not touched."""
    before = published(made.table)
    info = (made.table / "_job" / "table.json").read_bytes()
    yield made
    assert published(made.table) == before
    assert (made.table / "_job" / "table.json").read_bytes() == info


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
        script = f'exec "$0" "$@" {option}'
        again = subprocess.run(
            ["sh", "-c", script, *_unprivileged_line(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 0, again.stderr
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def _unprivileged_line(place: Place) -> list[str]:
    from tests.support.light import _UNPRIVILEGED, FEATURELIB

    line = [FEATURELIB, "extract", str(place.music), "-o", str(place.table), *TUTORIAL]
    return [sys.executable, "-c", _UNPRIVILEGED, *line] if os.getuid() == 0 else line


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
        end = column.dictionary_page_offset + column.total_compressed_size
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


# options and settings


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--preset", "genre-v2"], ["unknown preset 'genre-v2'", "did you mean 'genre-v1'?"]),
        (["--preset", "xyz"], ["unknown preset 'xyz'", "genre-v1, tutorial-v1"]),
        (["--prest", "genre-v1"], ["--prest", "--preset"]),
        (["--limit", "many"], ["--limit", "'many'"]),
        (["--limit", "0"], ["limit is 0", "at least 1"]),
        (["--max-failed", "2"], ["max_failed is 2", "fraction from 0 to 1"]),
        (["--partition-by", "genre"], ["partition_by is 'genre'", "'label' or 'none'"]),
        (["--storage-option", "secret"], ["'secret' has no value", "key=value"]),
        (["--labels", "nowhere.csv"], ["--labels", "cannot find", "nowhere.csv"]),
        (["--config", "nowhere.toml"], ["cannot read nowhere.toml"]),
        (["--cluster"], ["--cluster", "requires an argument"]),
        (["more"], ["unexpected extra argument (more)", "--help"]),
    ],
)
def test_options(place: Place, options: list[str], parts: list[str]) -> None:
    result = invoke("extract", place.music, "-o", place.table, *options)
    refused(result, 2, *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["extrct"], ["there is no command 'extrct'", "did you mean 'extract'?"]),
        (["extract"], ["missing argument 'CORPUS'", "featurelib extract --help"]),
        (["extract", "x"], ["missing option", "--output"]),
        (["describe", "genre"], ["unknown preset 'genre'", "did you mean 'genre-v1'?"]),
        (["--versin"], ["--versin", "--version"]),
    ],
)
def test_commands(arguments: list[str], parts: list[str]) -> None:
    refused(invoke(*arguments), 2, *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[run]\nlimit = ", ["is not TOML", "line 2"]),
        ("[run]\nlimt = 3", ["there is no setting 'limt'", "did you mean 'limit'?"]),
        ("[rum]\nlimit = 3", ["there is no table [rum]", "[spec] and [run]"]),
        ("[run]\nlimit = 'x'", ["limit is 'x'", "whole number"]),
        ("[spec]\npreset = 'genre-v1'\nn_fft = 2048", ["'n_fft'", "or into defaults"]),
        (
            "[spec]\npreset = 'genre-v1'\n[spec.defaults]\nn_ffft = 2048",
            ["no feature has 'n_ffft'", "did you mean 'n_fft'?"],
        ),
        ("[spec]\npreset = 'genre-v1'\n[spec.defaults]\nn_fft = 'x'", ["n_fft='x'"]),
        ("[spec]\nfeatures = ['mfc']", ["unknown family 'mfc'", "did you mean 'mfcc'?"]),
        ("[spec]\nfeatures = ['mfcc']\nlevel = { lenght_s = 3 }", ["did you mean 'length_s'?"]),
        ("[spec]\nfeatures = ['mfcc']\nimport = ['none.py']", ["import", "none.py"]),
    ],
)
def test_settings_files(place: Place, tmp_path: Path, text: str, parts: list[str]) -> None:
    file = write(tmp_path / "settings.toml", text + "\n")
    result = invoke("extract", place.music, "-o", place.table, "--config", file)
    refused(result, 2, *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("path,label\na,b,c\n", ["cannot be read"]),
        ("path,genre\nrock/a.wav,x\n", ["has no column 'label'", "path, genre"]),
        ("path,label\na.wav,x\n", ["it has 'a.wav', and the corpus has '"]),
    ],
)
def test_label_files(place: Place, tmp_path: Path, text: str, parts: list[str]) -> None:
    file = write(tmp_path / "labels.csv", text)
    result = invoke("extract", place.music, "-o", tmp_path / "t", *TUTORIAL, "--labels", file)
    refused(result, 2, "labels.csv", *parts)
    assert not (tmp_path / "t" / "features").exists()


@pytest.mark.parametrize("name", ["status", "errors"])
def test_looking_where_there_is_no_table(name: str, tmp_path: Path) -> None:
    refused(invoke(name, tmp_path / "t"), 1, f"there is no table at {tmp_path}/t", "extract")
    assert not (tmp_path / "t").exists()


def test_showing_what_cannot_be_shown(tmp_path: Path) -> None:
    refused(invoke("show", tmp_path / "none.wav"), 1, "cannot read", "none.wav", "No such file")
    refused(invoke("show", tmp_path), 1, "cannot read", "not a regular file")
    refused(invoke("show", write(tmp_path / "text.mp3")), 1, "text.mp3", "undecodable")
    refused(invoke("show", write(tmp_path / "empty.wav", "")), 1, "empty.wav", "empty")


def test_debug_shows_the_traceback(place: Place, tmp_path: Path) -> None:
    result = invoke("extract", tmp_path / "nowhere", "-o", place.table, "--debug")
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("featurelib: there is no folder")


def test_names_in_messages_do_not_steer_the_terminal(place: Place, tmp_path: Path) -> None:
    name = tmp_path / "\x1b(0red\n\udcff"
    refused(invoke("extract", name, "-o", place.table), 1, r"\x1b(0red", r"\udcff")
    refused(invoke("status", name), 1, r"\x1b(0red")


# hostile audio


def _riff(data: bytes, *, channels: int = 1, sr: int = 22050, claims: int | None = None) -> bytes:
    size = len(data) if claims is None else claims
    width = 2 * channels
    rate = sr * width & 0xFFFFFFFF
    fmt = struct.pack("<HHIIHH", 1, channels, sr, rate, width & 0xFFFF, 16)
    head = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(len(head) + size, 0xFFFFFFFF)) + head + data


def _rf64(data: bytes, claims: int) -> bytes:
    fmt = struct.pack("<HHIIHH", 1, 1, 22050, 44100, 2, 16)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, claims + 72, claims, claims // 2, 0)
    head = b"WAVE" + ds64 + b"fmt " + struct.pack("<I", 16) + fmt
    return b"RF64\xff\xff\xff\xff" + head + b"data\xff\xff\xff\xff" + data


def _absurd_flac(data: bytes) -> bytes:
    # total samples: 36 bits at byte 21 of the file, after "fLaC" and the block's header
    changed = bytearray(data)
    changed[21] |= 0x0F
    changed[22:26] = b"\xff\xff\xff\xff"
    return bytes(changed)


def make_hostile(folder: Path) -> None:
    """Write every kind of bad file that has been seen, and some that could be."""
    y = tone(seconds=1.0)
    for suffix in (".wav", ".flac", ".mp3", ".ogg"):
        data = write_audio(folder / f"good{suffix}", y).read_bytes()
        (folder / f"cut{suffix}").write_bytes(data[: len(data) // 2])
        (folder / f"head{suffix}").write_bytes(data[:40])
        (folder / f"zero{suffix}").write_bytes(b"")
        (folder / f"noise{suffix}").write_bytes(np.random.default_rng(1).bytes(5000))
    (folder / "text.mp3").write_text("this is no music\n" * 100)
    pcm = (y * 32767).astype("<i2").tobytes()
    (folder / "no-channels.wav").write_bytes(_riff(pcm, channels=0))
    (folder / "many-channels.wav").write_bytes(_riff(pcm, channels=65535))
    (folder / "no-rate.wav").write_bytes(_riff(pcm, sr=0))
    (folder / "absurd-rate.wav").write_bytes(_riff(pcm, sr=0xFFFFFFFF))
    (folder / "absurd.wav").write_bytes(_riff(pcm, claims=0xFFFFFFF0))
    (folder / "absurd64.wav").write_bytes(_rf64(pcm, 2**46))
    (folder / "absurd.flac").write_bytes(_absurd_flac((folder / "good.flac").read_bytes()))
    (folder / "no-samples.wav").write_bytes(_riff(b""))
    write_audio(folder / "one-sample.wav", y[:1])
    write_audio(folder / "short.wav", y[:100])
    write_audio(folder / "silent.wav", np.zeros(22050, np.float32))
    write_audio(folder / "constant.wav", np.ones(22050, np.float32))
    for name, value in (("nan", math.nan), ("infinite", math.inf), ("huge", 1e38)):
        bad = y.copy()
        bad[1000] = value
        write_audio(folder / f"{name}.wav", bad, subtype="FLOAT")
    (folder / "song.m4a").write_bytes(
        b"\x00\x00\x00 ftypM4A \x00\x00\x02\x00isomiso2" + b"\0" * 500
    )


UNUSABLE = {
    "zero.wav": "empty",
    "zero.flac": "empty",
    "zero.mp3": "empty",
    "zero.ogg": "empty",
    "no-samples.wav": "empty",
    "text.mp3": "undecodable",
    "song.m4a": "undecodable",
    "no-channels.wav": "undecodable",
    "noise.wav": "undecodable",
    "noise.flac": "undecodable",
    "nan.wav": "not_finite",
    "infinite.wav": "not_finite",
}
USABLE = {
    *(f"good{suffix}" for suffix in (".wav", ".flac", ".mp3", ".ogg")),
    "cut.wav",
    "absurd.wav",
    "short.wav",
    "silent.wav",
    "constant.wav",
}


def test_hostile_files_cost_themselves_alone(tmp_path: Path) -> None:
    make_hostile(tmp_path / "music")
    n_files = len(list((tmp_path / "music").iterdir()))
    options = {"spec": featurelib.get_spec("genre-v1"), "extractor": featurelib.extract_rows}
    report = run(tmp_path / "music", tmp_path / "t", **options)
    failed, rows = errors(tmp_path / "t"), features(tmp_path / "t")
    assert report.n_files + report.n_errors == len(failed) + len(rows) == n_files
    assert not failed.keys() & set(rows["path"].to_pylist())
    assert {name: failed.get(name) for name in UNUSABLE} == UNUSABLE
    assert set(rows["path"].to_pylist()) >= USABLE
    assert set(failed.values()) <= {"empty", "undecodable", "not_finite", "too_short"}
    for name in featurelib.feature_names("genre-v1"):
        assert np.isfinite(rows[name].to_numpy()).all(), name
    by_path = {row["path"]: row for row in rows.to_pylist()}
    assert by_path["silent.wav"]["is_silent"]
    assert by_path["cut.wav"]["duration_s"] == pytest.approx(0.5, abs=0.01)
    assert by_path["absurd.wav"]["duration_s"] == pytest.approx(1.0)


_PEAK = """
import resource, sys
import featurelib
from tests.support.light import run
run(sys.argv[1], sys.argv[2], extractor=featurelib.extract_rows)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_mb(corpus: Path, table: Path) -> float:
    line = [sys.executable, "-c", _PEAK, str(corpus), str(table)]
    top = Path(__file__).parents[2]
    result = subprocess.run(line, capture_output=True, text=True, check=True, cwd=top)
    return int(result.stdout) / 1024


@pytest.mark.slow
def test_no_header_s_claim_is_allocated(tmp_path: Path) -> None:
    make_hostile(tmp_path / "hostile")
    write_tone(tmp_path / "good" / "good.wav", seconds=1.0)
    usual = _peak_mb(tmp_path / "good", tmp_path / "t1")
    assert _peak_mb(tmp_path / "hostile", tmp_path / "t2") < usual + 100


def test_the_children_s_limit_is_not_ours() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
