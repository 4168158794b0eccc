"""A table of images in the hands of commands that read tables."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import featurelib
from jobs import extract_corpus, verify_table
from jobs.errors import UsageError
from tests.jobs.images.corpora import run, write_tones
from tests.support.light import invoke
from tests.support.refusals import refused

NO_FEATURES = "is a table of images, not of features: give one that featurelib extract has made"


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and the table of its images; one file has none."""
    top = tmp_path_factory.mktemp("top")
    music = write_tones(top / "music", "rock/a.wav", "rock/b.wav", "pop/c.wav", "pop/d.wav")
    (music / "pop/bad.wav").write_bytes(b"nothing")
    run(music, top / "pictures", labels="parent")
    return top


@pytest.mark.parametrize(
    "line",
    [
        ("train", "pictures", "--output", "model"),
        ("verify", "pictures"),
        ("export", "pictures", "--output", "matrix.npz"),
    ],
)
def test_what_needs_features_says_so(top: Path, tmp_path: Path, line: tuple[str, ...]) -> None:
    places = {
        "pictures": top / "pictures",
        "model": tmp_path / "m",
        "matrix.npz": tmp_path / "x.npz",
    }
    refused(invoke(*(places.get(word, word) for word in line)), 2, NO_FEATURES)
    assert not list(tmp_path.iterdir())


def test_functions_that_need_features_say_so(top: Path, tmp_path: Path) -> None:
    pictures, music = top / "pictures", top / "music"
    with pytest.raises(UsageError, match=NO_FEATURES):
        featurelib.load_table(pictures)
    with pytest.raises(UsageError, match=NO_FEATURES):
        verify_table(pictures)
    with pytest.raises(UsageError, match="is a table of images, not of features: drop --reuse"):
        extract_corpus(music, tmp_path / "t", reuse=str(pictures), cluster="inline")
    with pytest.raises(UsageError, match="reuse is for tables of features"):
        run(music, tmp_path / "u", reuse=str(pictures))


def test_status_errors_describe_export_and_relocate_read_it(top: Path, tmp_path: Path) -> None:
    pictures, copy = top / "pictures", tmp_path / "corpus"
    assert "rerun    5 unchanged" in invoke("status", pictures).stdout
    assert "pop/bad.wav  undecodable" in invoke("errors", pictures).stdout
    assert "PNG file of the row" in invoke("describe", pictures).stdout
    assert invoke("export", pictures, "--output", tmp_path / "index.csv").returncode == 0
    with (tmp_path / "index.csv").open() as file:
        rows = {row["path"]: row["image"] for row in csv.DictReader(file)}
    assert rows["rock/a.wav"] == "images/rock/a.wav.png"
    (top / "music").rename(copy)
    try:
        done = invoke("relocate", pictures, copy)
        assert done.returncode == 0, done.stderr
        assert run(copy, pictures, labels="parent").n_read == 0
        assert invoke("relocate", pictures, top / "music").returncode
    finally:
        copy.rename(top / "music")


@pytest.mark.slow
def test_a_report_tells_what_the_corpus_is(top: Path, tmp_path: Path) -> None:
    done = invoke("report", top / "pictures", "--output", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert "4 files, 1 error" in done.stdout
