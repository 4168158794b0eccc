"""The whole job with its corpus and its table in buckets."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import distributed
import pytest

import featurelib
from jobs.execution.dask import DaskExecutor
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from jobs.status import error_rows, table_status
from jobs.storage import base, s3
from jobs.storage.opening import open_store
from jobs.table.changes import Change
from jobs.table.layout import LEASE
from tests.jobs.s3.place import (
    FIRST,
    N_FILES,
    N_FILES_NEXT,
    NEXT,
    Place,
    options_of,
    storage_options,
)
from tests.support import audio_files, driver, light
from tests.support.tables import read_table


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_large_files_go_through_a_temporary_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[Any] = []
    files: list[Any] = []
    temporary_file = s3.temporary_file

    def noting_sources(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
        sources.append(source)
        return light.light_extractor(source, spec)

    def noting_files() -> Any:
        files.append(temporary_file())
        return files[-1]

    monkeypatch.setattr(base, "SPOOL_BYTES", 3)
    monkeypatch.setattr(s3, "temporary_file", noting_files)
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


@pytest.mark.slow
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
            yield DaskExecutor(client, Settings())

    run_job(place.request(), threads)
    place.assert_same_as("undisturbed")


@pytest.mark.slow
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


@pytest.mark.slow
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
