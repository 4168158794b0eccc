"""What earlier runs left behind: what of it may be used, and what may not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import jobs.run
from jobs.errors import EXIT_TERMINATED, CorpusError, TableError, TerminatedError, UsageError
from jobs.run import run_job
from jobs.storage.local import LocalStore
from tests.support import light
from tests.support.moments import Interrupted, at, die
from tests.support.tables import read_table

TIME = 1_700_000_000_000_000_000


def write(corpus: Path, **texts: str) -> None:
    """Write files that differ in nothing but their content."""
    for name, text in texts.items():
        path = light.write(corpus / f"{name}.wav", text)
        os.utime(path, ns=(TIME, TIME))


def staged(table: Path) -> list[Path]:
    return list(table.glob("_job/runs/*/staged/*"))


def die_before_merging(corpus: Path, table: Path, **settings: Any) -> None:
    with pytest.raises(Interrupted):
        light.run(corpus, table, observer=at("merge", die), **settings)
    assert staged(table)


def values(table: Path) -> dict[str, float]:
    features, _ = read_table(table)
    return dict(zip(features["path"], features["rmse"], strict=True))


def test_staged_files_of_another_corpus_are_not_used(tmp_path: Path) -> None:
    """The files have the same names, sizes and times."""
    one, other, table = tmp_path / "one", tmp_path / "other", tmp_path / "table"
    write(one, a="1", b="2")
    write(other, a="3", b="4")
    die_before_merging(one, table)
    report = light.run(other, table)
    assert (report.n_reused, report.n_read) == (0, 2)
    light.run(other, tmp_path / "fresh")
    assert values(table) == values(tmp_path / "fresh")
    assert not staged(table)


def test_staged_files_cut_into_other_buckets_are_not_used_and_not_kept(tmp_path: Path) -> None:
    write(tmp_path / "corpus", **{f"f{i}": str(i) for i in range(20)})
    die_before_merging(tmp_path / "corpus", tmp_path / "table", buckets=7)
    report = light.run(tmp_path / "corpus", tmp_path / "table", buckets=2)
    assert (report.n_reused, report.n_files) == (0, 20)
    assert not staged(tmp_path / "table")


def test_a_staged_file_with_a_file_that_is_gone_does_not_stay(tmp_path: Path) -> None:
    write(tmp_path / "corpus", a="1", b="2")
    die_before_merging(tmp_path / "corpus", tmp_path / "table")
    (tmp_path / "corpus/a.wav").unlink()
    report = light.run(tmp_path / "corpus", tmp_path / "table")
    assert (report.n_reused, report.n_files) == (1, 1)
    assert not staged(tmp_path / "table")


def test_work_beyond_a_limited_listing_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "corpus", a="1", b="2", c="3")
    die_before_merging(tmp_path / "corpus", tmp_path / "table")
    light.run(tmp_path / "corpus", tmp_path / "table", include=["a*"])
    report = light.run(tmp_path / "corpus", tmp_path / "table")
    assert (report.n_reused, report.n_files) == (2, 3)


def test_a_recomputing_run_goes_on_only_from_its_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, table = tmp_path / "corpus", tmp_path / "table"
    write(corpus, a="1", b="2")
    light.run(corpus, table)
    die_before_merging(corpus, table, recompute=True)
    again = light.run(corpus, table, recompute=True)
    assert (again.n_reused, again.n_read) == (2, 2)

    die_before_merging(corpus, table, recompute=True)
    monkeypatch.setattr(jobs.run, "code_version", lambda: "another")
    assert light.plan(corpus, table, recompute=True).n_reused == 0


def test_a_lost_fragment_ends_the_run_before_anything_is_written(tmp_path: Path) -> None:
    corpus, table = tmp_path / "corpus", tmp_path / "table"
    write(corpus, a="1", b="2")
    light.run(corpus, table)
    write(corpus, a="11", b="22")
    before = light.digest(table / "features")

    def lose() -> None:
        for path in staged(table):
            path.write_bytes(b"torn")

    with pytest.raises(TableError, match="cannot be found again"):
        light.run(corpus, table, observer=at("merge", lose))
    assert light.digest(table / "features") == before
    report = light.run(corpus, table)
    assert report.n_read == 2


def test_storage_that_fails_at_the_merge_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, table = tmp_path / "corpus", tmp_path / "table"
    write(corpus, a="1")
    open_file = LocalStore.open

    def failing(store: LocalStore, name: str) -> tuple[BinaryIO, str]:
        if "/staged/" in name:
            raise TimeoutError("the storage does not answer")
        return open_file(store, name)

    monkeypatch.setattr(LocalStore, "open", failing)
    with pytest.raises(TableError, match="does not answer"):
        light.run(corpus, table)
    monkeypatch.undo()
    assert light.run(corpus, table).n_reused == 1


def test_termination_is_no_failure_that_anything_handles(tmp_path: Path) -> None:
    write(tmp_path / "corpus", a="1")

    def extractor(source: Any, spec: Any) -> Any:
        raise TerminatedError("ended")

    assert not issubclass(TerminatedError, Exception)
    assert TerminatedError.exit_code == EXIT_TERMINATED
    with pytest.raises(TerminatedError):
        light.run(tmp_path / "corpus", tmp_path / "table", extractor=extractor)
    assert not (tmp_path / "table/features").exists()


def test_a_part_beyond_the_buckets_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "corpus", a="1")
    light.run(tmp_path / "corpus", tmp_path / "table")
    [part] = (tmp_path / "table/features").glob("*.parquet")
    part.with_name("part-00009.parquet").write_bytes(part.read_bytes())
    with pytest.raises(TableError, match="part-00009"):
        light.run(tmp_path / "corpus", tmp_path / "table")


def test_a_table_may_gain_labels_beyond_the_limit_for_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.preflight.MAX_LABELS", 2)
    for label in "ab":
        write(tmp_path / "corpus" / label, x="1")
    light.run(tmp_path / "corpus", tmp_path / "table", labels="parent")
    write(tmp_path / "corpus/c", x="1")
    assert light.run(tmp_path / "corpus", tmp_path / "table", labels="parent").n_files == 3
    with pytest.raises(UsageError, match="3 labels"):
        light.run(tmp_path / "corpus", tmp_path / "other", labels="parent")


def test_early_stop_counts_what_this_run_tried(tmp_path: Path) -> None:
    """Work that an earlier run had finished is no sign that files can be read now."""
    corpus, table = tmp_path / "corpus", tmp_path / "table"
    write(corpus, **{f"a{i}": str(i) for i in range(30)})
    die_before_merging(corpus, table)
    write(corpus, **{f"b{i:02d}": str(i) for i in range(60)})
    n_tried = 0

    def unreadable(source: Any, spec: Any) -> Any:
        nonlocal n_tried
        n_tried += 1
        raise TimeoutError("no answer")

    with pytest.raises(CorpusError, match="could all not be read"):
        run_job(light.request(corpus, table, extractor=unreadable), light.inline)
    assert n_tried < 60


@pytest.mark.slow
def test_files_that_fail_again_do_not_stop_a_run(tmp_path: Path) -> None:
    """What could not be read yesterday cannot today: the rest is done all the same."""
    corpus, table = tmp_path / "corpus", tmp_path / "table"
    write(corpus, **{f"a{i:02d}": "1" for i in range(40)}, z="2")

    def partly(source: Any, spec: Any) -> Any:
        if os.path.basename(source).startswith("a"):
            raise TimeoutError("no answer")
        return light.light_extractor(source, spec)

    light.run(corpus, table, include=["z*"])
    with pytest.raises(CorpusError, match="could all not be read"):
        light.run(corpus, table, extractor=partly)
    for i in range(40):  # in small numbers they get their error rows
        light.run(corpus, table, extractor=partly, include=[f"a{i:02d}*"])
    assert light.run(corpus, table, extractor=partly).n_errors == 40
    write(corpus, z2="3")
    report = light.run(corpus, table, extractor=partly)
    assert (report.n_files, report.n_errors) == (2, 40)
