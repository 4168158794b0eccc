"""Columns that are copied from another table of the same corpus: the rest alone is computed."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import featurelib
from jobs.errors import TableError, UsageError
from jobs.execution import attempt
from jobs.execution import reuse as reuse_module
from jobs.table.changes import Change
from tests.support import driver
from tests.support.audio_files import write_audio
from tests.support.light import features, invoke, request, run
from tests.support.quick import slow_but
from tests.support.tables import assert_same_table, assert_tidy

RMS = {"family": "rms", "statistics": ["mean", "max"]}
ZCR = {"family": "zero_crossing_rate", "statistics": ["mean"]}


def spec_of(*entries: Any, **fields: Any) -> featurelib.FeatureSpec:
    return featurelib.FeatureSpec.from_dict({"name": "x", "features": [*entries], **fields})


OLD = spec_of(RMS, ZCR)
#: Another name and order of columns, one statistic more, and a feature more.
NEW = spec_of(
    {"family": "rms", "as": "loudness", "n_fft": 1024, "statistics": ["std"]},
    {"family": "rms", "as": "level", "statistics": ["std", "max", "mean"]},
    {"family": "zero_crossing_rate", "statistics": ["mean", "min"]},
)
#: With columns of the old table alone, so that no file is read.
COPIED = spec_of(RMS)


class Counting:
    """The extractor, and the specs with which it was called."""

    def __init__(self) -> None:
        self.specs: list[list[str]] = []

    def __call__(
        self, source: Any, spec: featurelib.FeatureSpec, **options: Any
    ) -> Iterator[featurelib.Rows]:
        self.specs.append(featurelib.feature_names(spec))
        return featurelib.extract_rows(source, spec, **options)


def make_corpus(folder: Path, n_files: int) -> Path:
    rng = np.random.default_rng(0)
    for i in range(n_files):
        y = rng.uniform(-0.5, 0.5, (22_050 // 2 + 500 * (i % 7), 1 + i % 2))
        form = ("flac", "wav", "ogg")[i % 3]
        path = folder / ("rock", "jazz")[i % 2] / f"{i:03}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, y, 22_050 if i % 5 else 16_000)
    return folder


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "music", 40)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("few") / "music", 7)


def reused(
    music: Path,
    place: Path,
    old: featurelib.FeatureSpec = OLD,
    new: featurelib.FeatureSpec = NEW,
    *,
    old_options: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, Counting]:
    """Make the table of the old spec, that of the new one with and without it, and compare."""
    counting = Counting()
    run(music, place / "old", spec=old, extractor=featurelib.extract_rows, **(old_options or {}))
    report = run(
        music, place / "new", spec=new, extractor=counting, reuse=str(place / "old"), **options
    )
    run(music, place / "fresh", spec=new, extractor=featurelib.extract_rows, **options)
    assert_same_table(place / "new", place / "fresh")
    assert_tidy(place / "new")
    return report, counting


def test_what_a_list_states_is_looked_up(few: Path, tmp_path: Path) -> None:
    music = Path(shutil.copytree(few, tmp_path / "music"))
    names = sorted(str(path.relative_to(music)) for path in music.rglob("*.*"))
    status = [os.stat(music / name) for name in names]
    lines = [
        f"{name},{s.st_size},{s.st_mtime_ns // 10**9}.{s.st_mtime_ns % 10**9:09d}"
        for name, s in zip(names, status, strict=True)
    ]
    file = music / "list.csv"
    file.write_text("\n".join(["path,size,last_modified", *lines]))
    extractor = featurelib.extract_rows
    run(file, tmp_path / "old", spec=OLD, extractor=extractor)
    write_audio(music / names[0], np.zeros((22_050, 1)), 22_050)
    os.remove(music / names[1])
    old = str(tmp_path / "old")
    report = run(file, tmp_path / "new", spec=COPIED, extractor=extractor, reuse=old)
    run(file, tmp_path / "fresh", spec=COPIED, extractor=extractor)
    found, wanted = (features(tmp_path / name).drop(["run_id"]) for name in ("new", "fresh"))
    assert found.equals(wanted)
    assert (report.n_copied, report.failures["vanished"]) == (len(names) - 2, 1)


@pytest.mark.slow
def test_a_new_tag_beside_an_entry_that_only_serves_as_input(few: Path, tmp_path: Path) -> None:
    mfcc = {"family": "mfcc", "n_mfcc": 4, "statistics": []}
    spec = spec_of(mfcc, {"family": "delta", "of": "mfcc", "statistics": ["mean"]}, RMS)
    report, counting = reused(few, tmp_path, spec, spec, tags=["artist"])
    assert report.n_joined == 7
    assert counting.specs[0] == featurelib.feature_names(spec_of(*spec.to_dict()["features"][:2]))


LAYOUTS = [
    ({}, {}),
    ({"labels": "parent", "buckets": 3}, {"buckets": 2}),
    ({"buckets": 2}, {"labels": "parent", "buckets": 5}),
]


@pytest.mark.parametrize(("old_options", "options"), slow_but([LAYOUTS[1]], LAYOUTS))
def test_only_missing_columns_are_computed(
    music: Path, tmp_path: Path, old_options: dict[str, Any], options: dict[str, Any]
) -> None:
    report, counting = reused(music, tmp_path, old_options=old_options, **options)
    assert (report.n_joined, report.n_copied, report.n_read) == (40, 0, 40)
    assert counting.specs == [["loudness_std", "level_std", "zero_crossing_rate_min"]] * 40
    assert report.notes[0] == (
        f"3 of 6 feature columns are copied from {tmp_path}/old, for files that have not changed"
    )
    assert report.summary_lines()[0] == (
        "40 files have columns of another table, 0 of them without reading the file"
    )
    assert report.to_dict()["joined"] == 40


FIELDS = [
    {},
    {"channels": "each"},
    {"level": {"kind": "segment", "length_s": 0.25, "hop_s": 0.1, "last": "keep"}},
    {"sr": "native", "offset": 0.05, "duration": 0.3},
]


@pytest.mark.parametrize("fields", slow_but([FIELDS[1]], FIELDS))
def test_a_spec_with_known_columns_only_reads_no_file(
    few: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    old = spec_of(RMS, ZCR, **fields)
    new = spec_of({"family": "zero_crossing_rate", "as": "z", "statistics": ["mean"]}, **fields)
    report, counting = reused(few, tmp_path, old, new, labels="parent", buckets=2)
    if "level" in fields:  # a last segment may have been too short for the other feature
        assert (report.n_joined, report.n_copied) == (7, 0)
    else:
        assert counting.specs == []
        assert (report.n_joined, report.n_copied, report.n_files) == (0, 7, 7)


@pytest.mark.slow
def test_a_segment_that_was_too_short_for_another_feature(few: Path, tmp_path: Path) -> None:
    level = {"kind": "segment", "length_s": 0.25, "hop_s": 0.1, "last": "keep"}
    mfcc = {"family": "mfcc", "n_mfcc": 3}
    old = spec_of(mfcc, {"family": "delta", "of": "mfcc"}, level=level)
    report, _ = reused(few, tmp_path, old, spec_of(mfcc, level=level))
    assert 0 < report.n_joined < 7
    assert features(tmp_path / "new").num_rows > features(tmp_path / "old").num_rows


@pytest.mark.slow
@pytest.mark.parametrize("fields", slow_but([FIELDS[2]], FIELDS))
def test_rows_of_channels_and_segments_and_series(
    few: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    mfcc = {"family": "mfcc", "n_mfcc": 3, "statistics": ["mean", "series"]}
    old = spec_of({"family": "rms", "statistics": ["series", "mean"]}, mfcc, **fields)
    new = spec_of(
        {"family": "zero_crossing_rate", "statistics": ["mean", "series"]},
        {"family": "rms", "statistics": ["series", "std"]},
        mfcc,
        {"family": "delta", "of": "mfcc", "statistics": ["max"]},
        **fields,
    )
    report, _ = reused(few, tmp_path, old, new)
    # of one file, the last segment is too short for the delta
    assert report.n_joined == (6 if "level" in fields else 7)


def test_batches_of_any_size(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse_module, "_BATCH_BYTES", 1000)
    report, _ = reused(few, tmp_path, labels="parent")
    assert report.n_joined == 7
    monkeypatch.setattr(reuse_module, "_MOST_BYTES_OF_FILE", 1)
    report = run(
        few, tmp_path / "new2", spec=NEW, extractor=Counting(), reuse=str(tmp_path / "old")
    )
    assert report.n_joined == 0


def test_changed_new_and_failed_files_are_extracted(tmp_path: Path) -> None:
    music = make_corpus(tmp_path / "music", 6)
    (music / "bad.wav").write_bytes(b"bad")
    run(music, tmp_path / "old", spec=OLD, extractor=featurelib.extract_rows)
    write_audio(music / "rock" / "000.flac", np.full(9000, 0.25))
    write_audio(music / "new.wav", np.full(9000, 0.25))
    counting = Counting()
    options = {"spec": NEW, "extractor": counting, "reuse": str(tmp_path / "old")}
    report = run(music, tmp_path / "new", **options)
    run(music, tmp_path / "fresh", spec=NEW, extractor=featurelib.extract_rows)
    assert_same_table(tmp_path / "new", tmp_path / "fresh")
    assert report.n_joined == 5
    assert sorted(map(len, counting.specs)) == [3] * 5 + [6] * 3
    report = run(music, tmp_path / "new", **options)
    assert report.counts == {Change.UNCHANGED: 8}


def test_rows_of_other_samples_are_not_joined(tmp_path: Path) -> None:
    """A file of the same size and time, but with other samples than when the table was made."""
    music = make_corpus(tmp_path / "music", 3)
    run(music, tmp_path / "old", spec=OLD, extractor=featurelib.extract_rows)
    path = music / "jazz" / "001.wav"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-500:-400] = bytes(100)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    counting = Counting()
    report = run(music, tmp_path / "new", spec=NEW, extractor=counting, reuse=str(tmp_path / "old"))
    run(music, tmp_path / "fresh", spec=NEW, extractor=featurelib.extract_rows)
    assert_same_table(tmp_path / "new", tmp_path / "fresh")
    assert report.n_joined == 2
    assert len(counting.specs) == 4


def test_tags_that_the_other_table_lacks_are_read(tmp_path: Path) -> None:
    music = make_corpus(tmp_path / "music", 3)
    new = spec_of(ZCR)
    tags = {"tags": ["genre"], "labels": "tag:genre"}
    report, counting = reused(music, tmp_path, OLD, new, **tags)
    assert (report.n_joined, report.n_copied, len(counting.specs)) == (3, 0, 3)
    (tmp_path / "b").mkdir()
    report, counting = reused(music, tmp_path / "b", OLD, new, old_options=tags, **tags)
    assert (report.n_copied, counting.specs) == (3, [])


def test_what_cannot_be_reused_is_refused_in_one_line(tmp_path: Path) -> None:
    music = make_corpus(tmp_path / "music", 2)
    other = make_corpus(tmp_path / "other", 2)
    old = str(tmp_path / "old")
    run(music, old, spec=OLD, extractor=featurelib.extract_rows)

    def refused(
        corpus: Path, spec: featurelib.FeatureSpec, table: str = "new", **options: Any
    ) -> str:
        with pytest.raises((UsageError, TableError)) as caught:
            run(corpus, tmp_path / table, spec=spec, **{"reuse": old, **options})
        text = str(caught.value)
        assert "\n" not in text
        return text

    assert "signals differ: sr: 22050 → 44100; drop --reuse" in refused(
        music, spec_of(RMS, sr=44_100)
    )
    assert "no column in common; drop" in refused(music, spec_of({**RMS, "n_fft": 512}))
    assert f"is the table of the corpus {music}, not of {other}" in refused(other, NEW)
    assert "is the table that is written" in refused(music, OLD, "old")
    assert "there is no table at" in refused(music, NEW, reuse=str(tmp_path / "none"))
    assert "cannot reuse: give one of them" in refused(music, NEW, recompute=True)
    assert not (tmp_path / "new").exists()


def test_values_of_an_older_version_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music = make_corpus(tmp_path / "music", 2)
    old = str(tmp_path / "old")
    run(music, old, spec=OLD, extractor=featurelib.extract_rows)
    monkeypatch.setattr(type(OLD.features[0].feature), "version", 99)
    with pytest.raises(UsageError, match="whose values for its spec differ; drop --reuse"):
        run(music, tmp_path / "new", spec=spec_of(RMS, ZCR, {**ZCR, "as": "z"}), reuse=old)


def test_an_interrupted_run_is_continued(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were staged before the interruption are used, and none is lost or there twice."""
    monkeypatch.setattr(attempt, "_STAGE_EVERY_S", 0.0)
    run(few, tmp_path / "old", spec=OLD, extractor=featurelib.extract_rows)
    counting = Counting()

    def interrupted(*arguments: Any, **options: Any) -> Iterator[featurelib.Rows]:
        if len(counting.specs) == 4:
            raise KeyboardInterrupt
        return counting(*arguments, **options)

    options = {"spec": NEW, "reuse": str(tmp_path / "old"), "buckets": 2}
    with pytest.raises(KeyboardInterrupt):
        run(few, tmp_path / "new", extractor=interrupted, **options)
    report = run(few, tmp_path / "new", extractor=featurelib.extract_rows, **options)
    assert (report.n_reused, report.n_joined, report.n_files) == (4, 3, 7)
    run(few, tmp_path / "fresh", spec=NEW, extractor=featurelib.extract_rows, buckets=2)
    assert_same_table(tmp_path / "new", tmp_path / "fresh")
    assert_tidy(tmp_path / "new")


@pytest.mark.parametrize(
    ("new", "what"),
    slow_but(
        [(NEW, "column"), (COPIED, "file")], itertools.product([NEW, COPIED], ["file", "column"])
    ),
)
def test_a_damaged_part_of_the_other_table_is_named(
    few: Path, tmp_path: Path, what: str, new: featurelib.FeatureSpec
) -> None:
    """The run ends: it must not take the damage for one of its files."""
    run(few, tmp_path / "old", spec=OLD, extractor=featurelib.extract_rows)
    [part] = (tmp_path / "old" / "features").rglob("*.parquet")
    damage(part, None if what == "file" else "rms_mean")
    options = {"extractor": featurelib.extract_rows, "reuse": str(tmp_path / "old")}
    with pytest.raises(TableError, match=r"old/features/part-00000\.parquet is damaged"):
        run(few, tmp_path / "new", spec=new, **options)
    assert not (tmp_path / "new" / "errors").exists()


def damage(part: Path, column: str | None) -> None:
    """Overwrite a file, or the pages of one of its columns."""
    data = bytearray(part.read_bytes())
    start, size = 4, len(data) - 4
    if column is not None:
        group = pq.read_metadata(part).row_group(0)
        [chunk] = (
            group.column(i)
            for i in range(group.num_columns)
            if group.column(i).path_in_schema == column
        )
        start, size = chunk.data_page_offset, chunk.total_compressed_size
        if chunk.has_dictionary_page:
            start = chunk.dictionary_page_offset
    data[start : start + size] = bytes(size)
    part.write_bytes(data)


def test_a_row_that_is_in_two_parts_is_copied_once(tmp_path: Path) -> None:
    """As rows that move are, for a while."""
    music = make_corpus(tmp_path / "music", 4)
    table = tmp_path / "old"
    run(music, table, spec=OLD, extractor=featurelib.extract_rows, labels="parent", buckets=1)
    [rock] = (table / "features").glob("*rock*/*.parquet")
    (table / "features" / "by_label=pop").mkdir()
    (table / "features" / "by_label=pop" / rock.name).write_bytes(rock.read_bytes())
    options = {"extractor": featurelib.extract_rows, "reuse": str(table)}
    report = run(music, tmp_path / "new", spec=spec_of(ZCR), **options)
    assert (report.n_copied, report.n_rows) == (4, 4)
    assert pq.read_table(tmp_path / "new" / "features").num_rows == 4


@pytest.mark.slow
def test_the_command_on_workers(few: Path, tmp_path: Path) -> None:
    config = tmp_path / "new.toml"
    config.write_text(
        '[spec]\nname = "x"\n[[spec.features]]\nfamily = "rms"\nstatistics = ["mean", "min"]\n'
    )
    run(few, tmp_path / "old", spec=OLD, extractor=featurelib.extract_rows)
    options = ("--reuse", tmp_path / "old", "--config", config, "--workers", "2")
    ended = invoke("extract", few, "-o", tmp_path / "new", *options)
    assert ended.returncode == 0, ended.stderr
    assert "1 of 2 feature columns are copied" in ended.stdout
    assert "7 files have columns of another table" in ended.stdout
    assert features(tmp_path / "new").num_rows == 7


@pytest.mark.slow
@pytest.mark.parametrize("new", [NEW, COPIED], ids=["joined", "copied"])
def test_a_driver_killed_before_any_change_of_a_file(
    few: Path, tmp_path: Path, new: featurelib.FeatureSpec
) -> None:
    """Run again, the same command leaves the table that an undisturbed run makes."""
    options = {"extractor": featurelib.extract_rows, "labels": "parent", "buckets": 3}
    run(few, tmp_path / "old", spec=OLD, **options)
    run(few, tmp_path / "undisturbed", spec=new, **options)
    table = tmp_path / "new"
    wanted = request(few, table, spec=new, reuse=str(tmp_path / "old"), **options)
    n_copied = n_staged = 0
    for n in itertools.count(1, 4):
        shutil.rmtree(table, ignore_errors=True)
        code = driver.exit_code_of(driver.run_killed_at_write, wanted, n)
        assert code in (0, -signal.SIGKILL)
        report = driver.run_inline(wanted)
        assert_same_table(table, tmp_path / "undisturbed")
        assert_tidy(table)
        if code == 0:
            break
        n_copied += report.n_copied + report.n_joined
        n_staged += report.n_reused
    assert n > 20
    assert n_copied > 0
    assert n_staged > 0  # by the run that was killed


@pytest.mark.slow
def test_four_hundred_files(tmp_path: Path) -> None:
    music = make_corpus(tmp_path / "music", 400)
    report, counting = reused(music, tmp_path, labels="parent")
    assert report.n_joined == len(counting.specs) == 400
