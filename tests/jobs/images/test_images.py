"""Images of a corpus: made, updated, and one for each good file whatever happened before."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import featurelib
from jobs import extract_corpus, make_spectrograms
from jobs.errors import ClusterError, TableError, UsageError
from jobs.run import plan_job, run_job
from jobs.status import error_rows, table_status
from jobs.storage.local import LocalStore
from jobs.table.changes import Change
from tests.jobs.images.corpora import (
    assert_consistent,
    images,
    index,
    request,
    run,
    write_tones,
)
from tests.support import light
from tests.support.audio_files import write_tone
from tests.support.moments import Interrupted, at, die


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return write_tones(tmp_path / "music", "rock/a.wav", "rock/b.wav", "pop/c.wav", "d.wav")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def test_there_is_an_image_and_a_row_for_each_file(music: Path, pictures: Path) -> None:
    (music / "pop" / "bad.wav").write_bytes(b"nothing")
    report = run(music, pictures, labels="parent")
    assert (report.n_files, report.n_errors, report.kind) == (4, 1, "images")
    assert list(images(pictures)) == [
        *("pop/c.wav.png", "rock/a.wav.png", "rock/b.wav.png", "unlabelled/d.wav.png")
    ]
    assert_consistent(pictures)
    rows = index(pictures)
    assert list(rows["path"]) == ["d.wav", "pop/c.wav", "rock/a.wav", "rock/b.wav"]
    assert list(rows["label"].fillna("")) == ["", "pop", "rock", "rock"]
    assert list(rows["image"]) == [
        *("images/unlabelled/d.wav.png", "images/pop/c.wav.png"),
        *("images/rock/a.wav.png", "images/rock/b.wav.png"),
    ]
    assert list(rows["size_bytes"]) == [(music / path).stat().st_size for path in rows["path"]]
    assert not rows["source_version"].isna().any()
    assert list(rows["segment"]) == [0] * 4
    [error] = error_rows(str(pictures), {}).to_pylist()
    assert (error["path"], error["label"]) == ("pop/bad.wav", "pop")
    assert error["error_kind"] == "undecodable"


def test_pixels_are_those_of_librosa(tmp_path: Path, pictures: Path) -> None:
    write_tone(tmp_path / "music/a.wav", 500.0, seconds=1.5, sr=44_100, channels=2)
    report = make_spectrograms(
        tmp_path / "music", pictures, width=65, colormap="gray", top_db=70, cluster="inline"
    )
    assert report.n_files == 1
    y, _ = featurelib.load(tmp_path / "music/a.wav", sr=22_050)
    S = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=22_050), ref=np.max, top_db=70)
    assert S.shape == (128, 65)
    found = np.asarray(Image.open(pictures / "images/unlabelled/a.wav.png"), int)
    assert np.abs(found - np.rint(255 * (S[::-1] + 70) / 70)).max() <= 1


def test_a_rerun_makes_new_and_changed_images_only(music: Path, pictures: Path) -> None:
    run(music, pictures, labels="parent")
    before = {path: path.stat().st_ino for path in pictures.rglob("*.png")}
    assert run(music, pictures, labels="parent").counts == {Change.UNCHANGED: 4}
    assert {path: path.stat().st_ino for path in pictures.rglob("*.png")} == before

    write_tones(music, "pop/new.wav")
    write_tone(music / "rock/a.wav", 3000.0, seconds=0.3)
    (music / "rock/b.wav").unlink()
    old = images(pictures)
    report = run(music, pictures, labels="parent", max_deleted=1.0)
    assert report.counts == {
        Change.NEW: 1,
        Change.CHANGED: 1,
        Change.DELETED: 1,
        Change.UNCHANGED: 2,
    }
    assert report.n_read == 2
    now = images(pictures)
    assert set(now) == {*old, "pop/new.wav.png"} - {"rock/b.wav.png"}
    assert {name for name in old if now.get(name) == old[name]} == {
        *("pop/c.wav.png", "unlabelled/d.wav.png")
    }
    assert_consistent(pictures)


def test_a_file_that_fails_now_has_no_image_any_more(music: Path, pictures: Path) -> None:
    run(music, pictures, labels="parent")
    (music / "rock/a.wav").write_bytes(b"nothing")
    report = run(music, pictures, labels="parent")
    assert (report.n_files, report.n_errors) == (3, 1)
    assert "rock/a.wav.png" not in images(pictures)
    assert_consistent(pictures)
    assert run(music, pictures, labels="parent").counts == {Change.UNCHANGED: 4}


def test_a_file_that_cannot_be_read_now_keeps_its_image(
    music: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(music, pictures, labels="parent")
    write_tone(music / "rock/a.wav", 3000.0)
    fetch = LocalStore.fetch

    def failing(self: LocalStore, name: str) -> object:
        if name == "rock/a.wav":
            raise PermissionError(13, "Permission denied")
        return fetch(self, name)

    monkeypatch.setattr(LocalStore, "fetch", failing)
    before = images(pictures)
    assert run(music, pictures, labels="parent").n_unread == 1
    assert images(pictures) == before
    assert_consistent(pictures)


def test_an_image_that_somebody_deleted_or_cut_is_made_again(music: Path, pictures: Path) -> None:
    run(music, pictures, labels="parent")
    before = images(pictures)
    (pictures / "images/rock/a.wav.png").unlink()
    cut = pictures / "images/pop/c.wav.png"
    cut.write_bytes(cut.read_bytes()[:-10])
    assert plan_job(request(music, pictures, labels="parent")).counts[Change.CHANGED] == 2
    assert table_status(str(pictures), {}).rerun["changed"] == 2
    report = run(music, pictures, labels="parent")
    assert (report.n_read, report.counts[Change.UNCHANGED]) == (2, 2)
    assert images(pictures) == before
    shutil.rmtree(pictures / "images")
    assert run(music, pictures, labels="parent").n_read == 4
    assert images(pictures) == before
    assert_consistent(pictures)


def test_other_files_in_the_folder_stay_and_images_that_no_row_names_go(
    music: Path, pictures: Path
) -> None:
    run(music, pictures, labels="parent")
    (pictures / "images/rock/notes.txt").write_text("mine")
    (pictures / "images/rock/stray.png").write_bytes(b"half")
    run(music, pictures, labels="parent")
    assert (pictures / "images/rock/notes.txt").read_text() == "mine"
    assert not (pictures / "images/rock/stray.png").exists()


def label_file(tmp_path: Path, labels: dict[str, str]) -> str:
    path = tmp_path / "labels.csv"
    lines = ["path,label,year", *(f"{name},{label},1999" for name, label in labels.items())]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_the_image_of_a_file_with_another_label_moves(tmp_path: Path, pictures: Path) -> None:
    files = write_tones(tmp_path / "music", "a.wav", "b.wav", "c.wav")
    (files / "bad.wav").write_bytes(b"nothing")
    labels = {"a.wav": "rock", "b.wav": "rock", "bad.wav": "rock"}
    run(files, pictures, labels=label_file(tmp_path, labels))
    assert list(images(pictures)) == ["rock/a.wav.png", "rock/b.wav.png", "unlabelled/c.wav.png"]
    again = labels | {"b.wav": "Pop", "c.wav": "Pop", "bad.wav": "Pop"}
    report = run(files, pictures, labels=label_file(tmp_path, again))
    assert (report.counts[Change.UNCHANGED], report.n_read) == (1, 3)
    [error] = error_rows(str(pictures), {}).to_pylist()
    assert error["label"] == "Pop"
    assert list(images(pictures)) == ["Pop~1/b.wav.png", "Pop~1/c.wav.png", "rock/a.wav.png"]
    assert_consistent(pictures)
    assert list(index(pictures)["label"]) == ["rock", "Pop", "Pop"]
    # a folder without images would be a class for those who train
    assert sorted(path.name for path in (pictures / "images").iterdir()) == ["Pop~1", "rock"]
    assert list(index(pictures)["year"].dropna()) == ["1999"] * 3
    assert run(files, pictures, labels=label_file(tmp_path, again)).n_read == 0


def test_rows_that_wait_for_another_label_are_not_used(tmp_path: Path, pictures: Path) -> None:
    """A killed run has staged the file as rock; since then it is pop."""
    files = write_tones(tmp_path / "music", "a.wav", "b.wav")
    labels = {"a.wav": "rock", "b.wav": "rock"}
    with pytest.raises(Interrupted):
        run_job(
            request(files, pictures, labels=label_file(tmp_path, labels)),
            light.inline,
            at("merge", die),
        )
    assert len(images(pictures)) == 2
    report = run(files, pictures, labels=label_file(tmp_path, labels | {"b.wav": "pop"}))
    assert report.n_reused == 1
    assert list(images(pictures)) == ["pop/b.wav.png", "rock/a.wav.png"]
    assert_consistent(pictures)


def test_images_of_rows_that_wait_stay_when_another_part_is_made(
    tmp_path: Path, pictures: Path
) -> None:
    files = write_tones(tmp_path / "music", "a.wav", "b.wav")
    with pytest.raises(Interrupted):
        run_job(request(files, pictures, include=["a*"]), light.inline, at("merge", die))
    assert run(files, pictures, include=["b*"]).n_files == 1
    report = run(files, pictures)
    assert (report.n_reused, report.n_files, report.notes) == (1, 2, [])
    assert_consistent(pictures)


def test_labels_that_are_tags_name_the_folder(tmp_path: Path, pictures: Path) -> None:
    import av

    path = write_tone(tmp_path / "plain.wav", 300.0)
    (tmp_path / "music").mkdir()
    with (
        av.open(str(path)) as source,
        av.open(str(tmp_path / "music/a.mp3"), "w", format="mp3") as target,
    ):
        target.metadata["genre"] = "Dub"
        stream = target.add_stream("mp3", rate=22_050)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    run(tmp_path / "music", pictures, labels="tag:genre", tags=["genre"])
    assert list(images(pictures)) == ["Dub~1/a.mp3.png"]
    assert list(index(pictures)["label"]) == ["Dub"]
    assert run(tmp_path / "music", pictures, labels="tag:genre", tags=["genre"]).n_read == 0


def test_each_segment_has_an_image(tmp_path: Path, pictures: Path) -> None:
    write_tones(tmp_path / "music", "a/long.wav", seconds=1.1)
    write_tones(tmp_path / "music", "a/short.wav", seconds=0.2)
    run(tmp_path / "music", pictures, labels="parent", style={"segment": 0.5})
    assert list(images(pictures)) == [
        *("a/long.wav-0000.png", "a/long.wav-0001.png", "a/long.wav-0002.png"),
        "a/short.wav-0000.png",
    ]
    assert list(index(pictures)["start_s"]) == [0.0, 0.5, 1.0, 0.0]
    assert_consistent(pictures)
    write_tones(tmp_path / "music", "a/long.wav", seconds=0.6)
    run(tmp_path / "music", pictures, labels="parent", style={"segment": 0.5})
    assert len(images(pictures)) == 3
    assert_consistent(pictures)

    dropped = tmp_path / "dropped"
    report = run(tmp_path / "music", dropped, style={"segment": 0.5, "last": "drop"})
    assert (report.n_files, report.n_rows, report.n_errors) == (1, 1, 1)


def test_only_the_first_seconds_are_drawn(tmp_path: Path, pictures: Path) -> None:
    write_tones(tmp_path / "music", "a.wav", seconds=2.0)
    run(tmp_path / "music", pictures, style={"duration": 0.5})
    assert list(index(pictures)["duration_s"]) == [0.5]


NAMES = (
    *("a.wav", "A.wav", "a.WAV", "x/a.wav", "x y/%41.wav", "caf\u00e9.wav", "cafe\u0301.wav"),
    *("<b>&amp;.wav", "$(rm).wav", "x" * 200 + ".wav", "\u65e5\u672c" * 20 + ".wav"),
    *("new\nline.wav", "\x1b[31mred.wav", "back\\slash.wav"),
)


def test_names_that_are_alike_or_strange_have_images_of_their_own(
    tmp_path: Path, pictures: Path
) -> None:
    files = write_tones(tmp_path / "music", *NAMES)
    raw = os.fsencode(files) + b"/\xff\xe9.wav"
    shutil.copy(files / "a.wav", os.fsdecode(raw))
    shutil.copy(files / "a.wav", files / "a.aiff")
    report = run(files, pictures)
    assert (report.n_files, report.n_errors) == (len(NAMES) + 2, 0)
    names = list(images(pictures))
    assert len({name.casefold() for name in names}) == len(NAMES) + 2
    assert_consistent(pictures)
    assert run(files, pictures).n_read == 0


def test_a_folder_has_one_kind_of_content_and_one_style(music: Path, pictures: Path) -> None:
    run(music, pictures)
    with pytest.raises(UsageError, match="is a table of images, not of features: give another"):
        extract_corpus(music, pictures, cluster="inline")
    with pytest.raises(UsageError, match=r"another spec \(colormap: magma → gray\)"):
        run(music, pictures, style={"colormap": "gray"})


def test_images_are_not_put_into_a_table_of_features(tmp_path: Path) -> None:
    light.write(tmp_path / "music/a.wav")
    light.run(tmp_path / "music", tmp_path / "table")
    before = light.published(tmp_path / "table")
    with pytest.raises(UsageError, match="is a table of features, not of images: give another"):
        run(tmp_path / "music", tmp_path / "table")
    assert light.published(tmp_path / "table") == before
    assert not (tmp_path / "table/images").exists()


def test_images_that_cannot_be_written_end_the_run(
    music: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = LocalStore.replace

    def full(self: LocalStore, name: str, *arguments: object, **keywords: object) -> str:
        if name.endswith(".png"):
            raise OSError(28, "No space left on device")
        return replace(self, name, *arguments, **keywords)

    monkeypatch.setattr(LocalStore, "replace", full)
    with pytest.raises(TableError, match=r"a worker cannot write to .*No space.*make room"):
        run(music, pictures)
    monkeypatch.undo()
    assert run(music, pictures).n_files == 4
    assert_consistent(pictures)


def test_nothing_is_published_and_nothing_lost_where_a_limit_holds(
    music: Path, pictures: Path
) -> None:
    run(music, pictures)
    for name in ("rock/a.wav", "rock/b.wav", "d.wav"):
        (music / name).unlink()
    before = images(pictures)
    assert run(music, pictures).status == "held"
    assert images(pictures) == before
    assert_consistent(pictures)


def test_the_index_is_read_by_pandas(music: Path, pictures: Path) -> None:
    """As somebody does who trains a network."""
    run(music, pictures, labels="parent")
    table = pd.read_parquet(pictures / "index", columns=["image", "label"]).dropna()
    X = np.stack([np.asarray(Image.open(pictures / name)) for name in table["image"]])
    assert X.shape == (3, 8, 16)


def test_a_worker_without_pillow_says_what_to_install(
    music: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = request(music, pictures)  # the driver has it
    for name in ("PIL", "PIL.Image", "PIL.PngImagePlugin"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ClusterError, match=r"on a worker, PIL is not installed: pip install "):
        run_job(made, light.inline)
    assert not (pictures / "images").exists()
