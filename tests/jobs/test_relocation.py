"""A corpus that moved, and one that has two names."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import jobs.run
from jobs.errors import EXIT_BUSY, EXIT_HELD, EXIT_USAGE, TableBusyError, UsageError
from jobs.relocation import relocate
from jobs.settings import Settings
from jobs.status import table_status
from jobs.storage.opening import open_store
from jobs.table.changes import Change
from jobs.table.layout import TABLE_JSON
from jobs.table.lock import write_lock
from tests.conftest import S3
from tests.support import driver, light
from tests.support.quick import slow_but
from tests.support.tables import assert_same_table, assert_tidy, paths_of, write_files

FILES = {f"{label}/{n}.wav": f"play {label} {n}" for label in ("pop", "rock") for n in range(5)}
N = len(FILES)


def root_of(table: Path) -> str:
    return str(json.loads((table / TABLE_JSON).read_text())["corpus"])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_files(tmp_path / "old", FILES)


@pytest.fixture
def table(old: Path, tmp_path: Path) -> Path:
    """Give a table of the corpus `old`."""
    run(old, tmp_path / "table")
    return tmp_path / "table"


def run(corpus: Path, table: Path, **settings: Any) -> Any:
    settings = {"labels": "parent", "buckets": 2, "max_deleted": 1.0} | settings
    return driver.run_inline(driver.request_for(corpus, table, **settings))


# the same folder by another name


@pytest.mark.parametrize("what", slow_but([""], ["", "*/*.wav", "list.csv"]))
def test_a_link_to_the_corpus_is_the_corpus(what: str, tmp_path: Path) -> None:
    old = write_files(tmp_path / "old", FILES)
    (old / "list.csv").write_text("\n".join(["path", *(f"{old}/{name}" for name in FILES)]))
    (tmp_path / "link").symlink_to(old)
    for first, second in (("old", "link"), ("link", "old")):
        table = tmp_path / f"table of {first}"
        run(tmp_path / first / what, table)
        (old / "pop/0.wav").write_text(f"play another {first}")
        report = run(tmp_path / second / what, table)
        assert report.counts == {Change.CHANGED: 1, Change.UNCHANGED: N - 1}
        assert root_of(table) == str(tmp_path / first)
        run(tmp_path / first / what, tmp_path / f"whole {first}")
        assert_same_table(table, tmp_path / f"whole {first}")


def test_labels_by_full_path_through_a_link(tmp_path: Path) -> None:
    old = write_files(tmp_path / "old", FILES)
    (tmp_path / "link").symlink_to(old)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["path,label", *(f"{old}/{name},x" for name in FILES)]))
    run(old, tmp_path / "table", labels=str(labels))
    report = run(tmp_path / "link", tmp_path / "table", labels=str(labels))
    assert report.counts == {Change.UNCHANGED: N}
    assert report.notes == []


# a corpus that moved


def test_a_corpus_that_moved_is_refused_until_the_table_is_told(
    old: Path, table: Path, tmp_path: Path
) -> None:
    old.rename(tmp_path / "new")
    with pytest.raises(UsageError, match="featurelib relocate"):
        run(tmp_path / "new", table)
    found = relocate(str(table), str(tmp_path / "new"))
    assert (found.status, found.n_match, found.exit_code) == ("relocated", N, 0)
    assert root_of(table) == str(tmp_path / "new")
    report = run(tmp_path / "new", table)
    assert report.counts == {Change.UNCHANGED: N}
    with pytest.raises(UsageError, match="featurelib relocate"):
        run(write_files(old, FILES), table)


def test_what_differs_is_counted_and_done_by_the_next_run(
    old: Path, table: Path, tmp_path: Path
) -> None:
    new = old.rename(tmp_path / "new")
    (new / "pop/0.wav").write_text("play it otherwise")
    (new / "pop/1.wav").unlink()
    write_files(new, {"pop/9.wav": "play 9", "pop/10.wav": "play 10"})
    found = relocate(str(table), str(new), min_match=(N - 2) / N)
    assert found.to_dict() == {
        "table": str(table),
        "old_corpus": str(old),
        "new_corpus": str(new),
        "status": "relocated",
        "reason": "",
        "match": N - 2,
        "differ": 1,
        "missing": 1,
        "new": 2,
    }
    assert table_status(str(table), {}).rerun == {
        **dict.fromkeys(Change, 0),
        Change.CHANGED: 1,
        Change.DELETED: 1,
        Change.NEW: 2,
        Change.UNCHANGED: N - 2,
    }
    assert run(new, table).n_read == 3
    run(new, tmp_path / "whole")
    assert_same_table(table, tmp_path / "whole")
    assert_tidy(table)


def test_files_with_errors_count_by_their_version_too(tmp_path: Path) -> None:
    old = write_files(tmp_path / "old", {"a.wav": "play", "b.wav": "bad"})
    run(old, tmp_path / "table")
    found = relocate(str(tmp_path / "table"), str(old.rename(tmp_path / "new")), min_match=1.0)
    assert found.n_match == 2


def test_copies_without_their_times_are_refused(old: Path, table: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "new", FILES)
    before = light.digest(table / "features", table / "_job")
    found = relocate(str(table), str(tmp_path / "new"))
    assert (found.status, found.n_differ, found.exit_code) == ("held", N, EXIT_HELD)
    assert "rsync -a" in found.reason
    assert "--min-match 0.9" in found.reason
    after = light.digest(table / "features", table / "_job")
    assert {k: v for k, v in after.items() if not k.endswith("/lock")} == {
        k: v for k, v in before.items() if not k.endswith("/lock")
    }
    assert relocate(str(table), str(tmp_path / "new"), min_match=0.0).status == "relocated"
    assert run(tmp_path / "new", table).counts == {Change.CHANGED: N}


def test_another_folder_is_refused_with_an_example(old: Path, table: Path, tmp_path: Path) -> None:
    shutil.copytree(old, tmp_path / "new" / "music")
    found = relocate(str(table), str(tmp_path / "new"))
    assert (found.n_missing, found.n_new, found.status) == (N, N, "held")
    assert "is it the right folder?" in found.reason
    assert "'music/" in found.reason
    assert root_of(table) == str(old)


def test_a_dry_run_writes_nothing(old: Path, table: Path, tmp_path: Path) -> None:
    new = old.rename(tmp_path / "new")
    before = light.digest(table)
    found = relocate(str(table), str(new), dry_run=True)
    assert (found.status, found.n_match) == ("planned", N)
    write_files(new, FILES)
    found = relocate(str(table), str(new), dry_run=True)
    assert (found.status, found.n_differ, found.exit_code) == ("planned", N, 0)
    assert found.reason
    assert light.digest(table) == before


def test_a_list_that_moved_with_its_files(tmp_path: Path) -> None:
    old = write_files(tmp_path / "old", FILES)
    (old / "list.txt").write_text("\n".join(FILES))
    run(old / "list.txt", tmp_path / "table")
    new = old.rename(tmp_path / "new")
    assert relocate(str(tmp_path / "table"), str(new / "list.txt")).n_match == N
    assert run(new / "list.txt", tmp_path / "table").counts == {Change.UNCHANGED: N}


def test_a_list_that_still_names_the_old_place(tmp_path: Path) -> None:
    old = write_files(tmp_path / "old", FILES)
    (old / "list.txt").write_text("\n".join(f"{old}/{name}" for name in FILES))
    run(old / "list.txt", tmp_path / "table")
    new = old.rename(tmp_path / "new")
    found = relocate(str(tmp_path / "table"), str(new / "list.txt"))
    assert (found.n_missing, found.status) == (N, "held")
    assert f"'{old}/" in found.reason


# other drivers and kills


def test_not_while_another_driver_writes(old: Path, table: Path, tmp_path: Path) -> None:
    new = old.rename(tmp_path / "new")
    with write_lock(open_store(str(table)), "another"), pytest.raises(TableBusyError):
        relocate(str(table), str(new))
    assert root_of(table) == str(old)


def test_a_run_that_looked_before_the_table_went_elsewhere(
    old: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(old, tmp_path / "new")

    @contextmanager
    def overtaken(*arguments: Any, **options: Any) -> Iterator[Any]:
        relocate(str(table), str(tmp_path / "new"))
        with write_lock(*arguments, **options) as guard:
            yield guard

    monkeypatch.setattr(jobs.run, "write_lock", overtaken)
    (old / "pop/0.wav").unlink()
    with pytest.raises(UsageError, match="is the table of the corpus"):
        run(old, table)
    assert "pop/0.wav" in paths_of(table)


def _relocate_killed_at_write(table: Path, new: Path, n: int) -> None:
    driver.kill_at_write(table, n)
    relocate(str(table), str(new))


@pytest.mark.slow
def test_killed_before_every_write(old: Path, table: Path, tmp_path: Path) -> None:
    new = old.rename(tmp_path / "new")
    shutil.copytree(table, tmp_path / "untouched")
    roots = []
    for n in range(1, 50):
        shutil.rmtree(table)
        shutil.copytree(tmp_path / "untouched", table)
        code = driver.exit_code_of(_relocate_killed_at_write, table, new, n)
        roots.append(root_of(table))
        if root_of(table) == str(old):
            assert relocate(str(table), str(new)).status == "relocated"
        assert run(new, table).counts == {Change.UNCHANGED: N}
        assert_tidy(table)
        if code == 0:
            break
    assert code == 0
    assert set(roots) == {str(old), str(new)}
    assert roots == sorted(roots, key=[str(old), str(new)].index)


def test_results_of_a_run_killed_at_the_old_place_are_not_used(
    old: Path, table: Path, tmp_path: Path
) -> None:
    write_files(old, {"pop/0.wav": "play again", "pop/7.wav": "play 7"})
    request = driver.request_for(old, table, labels="parent", buckets=2, max_deleted=1.0)
    assert driver.exit_code_of(driver.run_killed_at_step, request, 1, "merge") == -9
    assert list((table / "_job/runs").glob("*/staged/*"))
    new = old.rename(tmp_path / "new")
    relocate(str(table), str(new))
    report = run(new, table)
    assert (report.n_reused, report.n_read) == (0, 2)
    run(new, tmp_path / "whole")
    assert_same_table(table, tmp_path / "whole")
    assert_tidy(table)


# buckets


@pytest.mark.slow
def test_from_bucket_to_bucket(s3: S3, tmp_path: Path) -> None:
    one, other, client = s3.bucket(), s3.bucket(), s3.client
    for name, text in FILES.items():
        client.put_object(Bucket=one, Key=f"music/{name}", Body=text.encode())
        client.put_object(Bucket=other, Key=f"m/{name}", Body=text.encode())
    options = [f"key={s3.key}", f"secret={s3.secret}", f"endpoint_url={s3.endpoint}"]
    settings = Settings(storage_options=tuple(options), lease_period_s=0.8)
    table = f"s3://{one}/table"

    def report(corpus: str) -> Any:
        return driver.run_inline(
            driver.request_for(corpus, table, labels="parent", storage_options=options, buckets=2)
        )

    report(f"s3://{one}/music")
    found = relocate(table, f"s3://{other}/m", settings=settings)
    assert (found.status, found.n_match) == ("relocated", N)
    assert report(f"s3://{other}/m").counts == {Change.UNCHANGED: N}

    write_files(tmp_path / "local", FILES)
    found = relocate(table, str(tmp_path / "local"), settings=settings)
    assert (found.status, found.n_differ) == ("held", N)
    assert "other storage" in found.reason


# the command


def test_the_command(old: Path, table: Path, tmp_path: Path) -> None:
    new = old.rename(tmp_path / "new")
    done = light.invoke("relocate", table, new, "--dry-run", "--json")
    assert (json.loads(done.stdout)["status"], done.returncode) == ("planned", 0)
    with write_lock(open_store(str(table)), "another"):
        assert light.invoke("relocate", table, new).returncode == EXIT_BUSY
    done = light.invoke("relocate", table, new)
    assert done.stdout.splitlines() == [
        f"{N:>9}  the same",
        f"{table}: the corpus is {new} now",
    ]
    other = write_files(tmp_path / "other", FILES)
    done = light.invoke("relocate", table, other)
    assert done.returncode == EXIT_HELD
    assert "not taken for the same: only 0 of" in done.stderr
    assert light.invoke("relocate", table, other, "--min-match", "7").returncode == EXIT_USAGE
    done = light.invoke("relocate", tmp_path / "nothing", other)
    assert "there is no table at" in done.stderr
    assert not os.path.exists(tmp_path / "nothing")
