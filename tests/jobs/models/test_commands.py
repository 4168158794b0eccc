"""`featurelib train` and `featurelib predict`, and the functions of Python."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

import featurelib
import jobs
from jobs import extract_corpus
from jobs.demo.synthesize import synthesize_corpus
from jobs.errors import ModelError, UsageError
from jobs.models import training
from jobs.models.model import read_model
from tests.conftest import S3
from tests.docs.markdown import TOP
from tests.jobs.models.tables import clusters, make_table, told
from tests.jobs.models.test_model import changed
from tests.support import own_features
from tests.support.audio_files import make_corpus, write_tone
from tests.support.light import command, invoke

SPEC = featurelib.spec_from_settings(
    {"name": "few", "features": ["rms", "zero_crossing_rate", "spectral_centroid"]}
)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low and high tones as audio, their table, and a model of it."""
    place = tmp_path_factory.mktemp("tones")
    for i in range(6):
        write_tone(place / "music" / "low" / f"{i}.wav", 150 + 20 * i)
        write_tone(place / "music" / "high" / f"{i}.wav", 2000 + 300 * i)
    (place / "music" / "low" / "empty.wav").touch()
    extract_corpus(place / "music", place / "table", spec=SPEC, labels="parent", cluster="inline")
    jobs.train_model(place / "table", place / "tone.model", estimator="logistic")
    return place


def test_what_train_says(tmp_path: Path) -> None:
    files = {
        **clusters(8),
        "a/x.wav": told([0] * 5, audio_hash="copy"),
        "b/\x1b[31my.wav": told([0] * 5, audio_hash="copy"),
        "c/silent.wav": told([0] * 5, is_silent=True),
        "c/long.wav": told(np.eye(5)),
    }
    table = make_table(tmp_path, files)
    done = invoke("train", table, "-o", tmp_path / "genre.model", "--estimator", "logistic")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "27 files (31 segments) of 3 labels, 5 columns, estimator logistic"
    assert lines[1] == "Left out: 1 silent; --include-silent keeps them"
    assert lines[2].startswith("By track:    accuracy 0.")
    assert lines[2].endswith("(mean ± standard deviation of 5 folds)")
    assert lines[3].startswith("By segment:  accuracy 0.")
    assert lines[4].split() == ["label", "files", "precision", "recall", "F1"]
    assert [line.split()[:2] for line in lines[5:8]] == [["a", "9"], ["b", "9"], ["c", "9"]]
    assert "The same audio has different labels (1 times)" in done.stdout
    assert "  a/x.wav (a), b/\\x1b[31my.wav (b)" in lines
    assert "\x1b" not in done.stdout
    for name in ("genre.model.confusion.png", "genre.model.importance.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200
    left = {"genre.model", "genre.model.confusion.png", "genre.model.importance.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"music", "table", *left}


@pytest.mark.slow
def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(8, distance=1.0))
    said = [invoke("train", table, "-o", tmp_path / "m", "--force", "--json") for _ in range(2)]
    assert said[0].stdout == said[1].stdout
    values = json.loads(said[0].stdout)
    assert values["data"]["files"] == 24
    assert len(values["scores"]["folds"]) == 5
    assert len(values["data"]["fingerprint"]) == 32
    other = invoke("train", table, "-o", tmp_path / "m", "--force", "--json", "--seed", "1")
    assert json.loads(other.stdout)["scores"] != values["scores"]


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(3, "ab"))
    picture = tmp_path / "m.confusion.png"
    picture.write_bytes(b"mine")
    line = ("train", table, "-o", tmp_path / "m", "--estimator", "logistic")
    done = invoke(*line)
    assert done.returncode == 2
    assert f"{picture} exists: give another --output, or --force" in done.stderr
    assert not (tmp_path / "m").exists()
    assert picture.read_bytes() == b"mine"
    assert invoke(*line, "--force").returncode == 0
    assert picture.read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["TABLE", "-o", "m", "--estimator", "resnet"], 2, "no estimator 'resnet'; there are mlp"),
        (["TABLE", "-o", "m", "--folds", "1"], 2, "folds is 1: give a whole number of at least 2"),
        (["TABLE", "-o", "m", "--seed", "-1"], 2, "seed is -1"),
        (["TABLE", "-o", "m", "--group-by", "artst"], 2, "has no column 'artst'"),
        (["TABLE", "-o", "m", "--split-column", "split"], 2, "has no column 'split'"),
        (["TABLE", "-o", "m", "--estimater", "svm"], 2, "no such option"),
        (["TABLE", "-o", "."], 2, ". is a folder: give a file, such as"),
        (["TABLE", "-o", "-"], 2, "not a stream"),
        (["TABLE"], 2, "missing option '-o' / '--output'"),
        (["nothing", "-o", "m"], 1, "there is no table at"),
        (["music", "-o", "m"], 1, "holds other files"),
        (["TABLE", "-o", "table/m"], 2, "is in the table"),
    ],
)
def test_slips_of_train(
    tones: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, text: str
) -> None:
    monkeypatch.chdir(tones)
    done = invoke("train", *("table" if one == "TABLE" else one for one in arguments))
    assert done.returncode == code
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tones / "m").exists()


def test_a_folder_that_cannot_be_written(tones: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = command("train", tones / "table", "-o", tmp_path / "m", unprivileged=True)
    tmp_path.chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"featurelib: cannot write {tmp_path}/m: Permission denied"
    )


def test_ctrl_c_ends_training_in_one_line(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(60, "abcdefgh", distance=0.1))
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from jobs.cli import main; main()"
    line = [sys.executable, "-c", code, "train", str(table), "-o", str(tmp_path / "m")]
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".export-*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "\nfeaturelib: interrupted\n"  # a terminal shows ^C before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music", "table"]


def test_a_table_can_be_predicted(tones: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.csv"
    done = invoke("predict", tones / "tone.model", tones / "table", "-o", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 13 files have no features, and no label" in done.stdout
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "p_high", "p_low", "error"]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    for row in rows:
        if row["path"] == "low/empty.wav":
            assert row["label"] == row["p_high"] == ""
            assert row["error"].startswith("empty: ")
        else:
            assert row["label"] == row["path"].partition("/")[0]
            assert float(row["p_high"]) + float(row["p_low"]) == pytest.approx(1)


def test_a_corpus_is_extracted_with_the_models_spec(tones: Path, tmp_path: Path) -> None:
    of_table = jobs.predict(tones / "tone.model", tones / "table").frame
    found = jobs.predict(
        tones / "tone.model", tones / "music", output=tmp_path / "x.parquet", cluster="inline"
    )
    pd.testing.assert_frame_equal(found.frame, of_table)
    written = pq.read_table(tmp_path / "x.parquet").to_pandas()
    assert written["path"].tolist() == of_table["path"].tolist()
    np.testing.assert_array_equal(written["p_low"], of_table["p_low"])
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tones}/music/low/1.wav\n{tones}/music/high/1.wav\n")
    few = jobs.predict(tones / "tone.model", listed, cluster="inline")
    assert sorted(few.frame["label"]) == ["high", "low"]
    some = jobs.predict(tones / "tone.model", f"{tones}/music/*/3.wav", cluster="inline")
    assert some.frame["path"].tolist() == ["high/3.wav", "low/3.wav"]


def test_one_file_can_be_predicted(tones: Path) -> None:
    song = tones / "music" / "low" / "2.wav"
    done = invoke("predict", tones / "tone.model", song)
    assert done.returncode == 0
    path, label, share = done.stdout.split()
    assert (path, label) == (str(song), "low")
    assert 0.5 < float(share) <= 1
    told_json = json.loads(invoke("predict", tones / "tone.model", song, "--json").stdout)
    [one] = told_json["predictions"]
    of_table = jobs.predict(tones / "tone.model", tones / "table").frame.set_index("path")
    assert one["probabilities"]["low"] == pytest.approx(of_table["p_low"]["low/2.wav"], abs=1e-6)


def test_segments_of_a_file_are_averaged(tmp_path: Path) -> None:
    segments = featurelib.spec_from_settings(
        {
            "name": "s",
            "features": ["rms", "zero_crossing_rate"],
            "level": {"length_s": 0.2, "hop_s": 0.2},
        }
    )
    make_corpus(tmp_path / "music", {"a": 4, "b": 4}, seconds=0.7)
    extract_corpus(
        tmp_path / "music", tmp_path / "t", spec=segments, labels="parent", cluster="inline"
    )
    jobs.train_model(tmp_path / "t", tmp_path / "m", estimator="logistic")
    found = jobs.predict(tmp_path / "m", tmp_path / "t").frame
    assert len(found) == 8
    [path] = (tmp_path / "music").glob("a/*0.wav")
    alone = jobs.predict(tmp_path / "m", path).frame
    wanted = found.set_index("path").loc[f"a/{path.name}", "p_a"]
    assert alone["p_a"][0] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("nothing/", 1, "there is no folder nothing/"),
        ("nothing.mp3", 1, "cannot read nothing.mp3: No such file"),
        ("music/low/empty.wav", 1, "no features of music/low/empty.wav: empty"),
        ("other", 2, "has another spec than the model's table (features: without rms"),
        ("music", 2, "x.txt does not say what to write"),
    ],
)
def test_slips_of_predict(
    tones: Path, monkeypatch: pytest.MonkeyPatch, source: str, code: int, text: str
) -> None:
    monkeypatch.chdir(tones)
    if source == "other" and not (tones / "other").exists():
        spec = featurelib.spec_from_settings({"name": "few", "features": ["spectral_flatness"]})
        extract_corpus("music", "other", spec=spec, labels="parent", cluster="inline")
    output = ["-o", "x.txt"] if source == "music" else []
    done = invoke("predict", "tone.model", source, *output)
    assert done.returncode == code
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_images_are_no_features(tones: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    jobs.make_spectrograms(tones / "music", pictures, labels="parent", cluster="inline")
    with pytest.raises(UsageError, match="pictures is a table of images, not of features: give"):
        jobs.train_model(pictures, tmp_path / "m")
    with pytest.raises(UsageError, match="pictures is a table of images, not of features"):
        jobs.predict(tones / "tone.model", pictures)


def test_a_corpus_without_one_good_file(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    found = jobs.predict(tones / "tone.model", tmp_path, cluster="inline")
    assert found.frame["label"].tolist() == [None]
    assert found.frame["error"][0].startswith("empty: ")
    assert found.lines()[-1] == "1 of 1 files have no features, and no label"


def test_a_name_that_is_not_utf8(tones: Path, tmp_path: Path) -> None:
    song = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    shutil.copy(tones / "music" / "low" / "1.wav", song)
    found = jobs.predict(tones / "tone.model", os.fsdecode(song), output=tmp_path / "x.parquet")
    assert found.frame["path"].tolist() == [f"{tmp_path}/caf\\xe9.wav"]


def test_signs_of_one_file_are_said(tones: Path, tmp_path: Path) -> None:
    song = (tones / "music" / "low" / "1.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(song[: len(song) // 2])
    [note] = jobs.predict(tones / "tone.model", tmp_path / "cut.wav").notes
    assert note == f"{tmp_path}/cut.wav is cut: its prediction means little"


def test_segments_that_are_silent_make_no_silent_file(tmp_path: Path) -> None:
    files = {**clusters(3, "ab"), "a/x.wav": told(np.eye(5), is_silent=[True] + [False] * 4)}
    table = make_table(tmp_path, files)
    jobs.train_model(table, tmp_path / "m", estimator="logistic")
    assert jobs.predict(tmp_path / "m", table).notes == []


def test_predictions_are_not_written_into_the_table(tones: Path) -> None:
    inside = tones / "table" / "features" / "labels.parquet"
    with pytest.raises(UsageError, match="is in the table, where readers would take it"):
        jobs.predict(tones / "tone.model", tones / "table", output=inside)
    assert not inside.exists()


def test_columns_that_the_spec_does_not_have(tones: Path, tmp_path: Path) -> None:
    def change(members: dict[str, Any]) -> None:
        members["featurelib.json"]["columns"][0] = "path"

    (tmp_path / "m").write_bytes(changed((tones / "tone.model").read_bytes(), change))
    with pytest.raises(ModelError, match="its columns are others than its spec's"):
        jobs.predict(tmp_path / "m", tones / "music" / "low" / "1.wav")


def test_models_of_very_many_labels_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The confusion matrix grows with the square of the labels."""
    monkeypatch.setattr(training, "_CONFUSION_LABELS", 2)
    for labels, is_stored in (("ab", True), ("abc", False)):
        table = make_table(tmp_path / labels, clusters(3, labels))
        jobs.train_model(table, tmp_path / f"{labels}.model", estimator="logistic")
        model, _ = read_model(str(tmp_path / f"{labels}.model"), {})
        assert (model.metadata.scores["confusion"] is not None) == is_stored


def test_own_features_need_a_table(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music", {"a": 3, "b": 3})
    config = own_features.write(tmp_path)
    line = ("extract", tmp_path / "music", "--output", tmp_path / "t", "--config", config)
    assert invoke(*line, "--labels", "parent", "--cluster", "inline").returncode == 0
    (tmp_path / "own.py").unlink()
    jobs.train_model(tmp_path / "t", tmp_path / "m", estimator="logistic")
    assert len(jobs.predict(tmp_path / "m", tmp_path / "t").frame) == 6
    with pytest.raises(UsageError, match="has features of your own, and a model runs no code"):
        jobs.predict(tmp_path / "m", tmp_path / "music")


def test_options_of_python_are_checked(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train_model: there is no option 'estimater'"):
        jobs.train_model(tones / "table", tmp_path / "m", estimater="svm")
    with pytest.raises(UsageError, match="predict: there is no setting 'worker'"):
        jobs.predict(tones / "tone.model", tones / "table", worker=3)
    with pytest.raises(ModelError, match="is no model of featurelib"):
        jobs.predict(tones / "music" / "low" / "1.wav", tones / "table")


@pytest.mark.slow
def test_models_and_tables_on_s3(tones: Path, s3: S3) -> None:
    options, bucket = s3.storage_options, s3.bucket()
    table, model = f"s3://{bucket}/table", f"s3://{bucket}/tone.model"
    extract_corpus(
        tones / "music",
        table,
        spec=SPEC,
        labels="parent",
        cluster="inline",
        storage_options=options,
    )
    jobs.train_model(table, model, estimator="logistic", storage_options=options)
    with pytest.raises(UsageError, match="exists: give another --output"):
        jobs.train_model(table, model, estimator="logistic", storage_options=options)
    found = jobs.predict(model, table, storage_options=options).frame
    pd.testing.assert_frame_equal(found, jobs.predict(tones / "tone.model", tones / "table").frame)
    song = tones / "music" / "low" / "1.wav"
    s3.client.upload_file(str(song), bucket, "song.wav")
    one = jobs.predict(model, f"s3://{bucket}/song.wav", storage_options=options).frame
    assert one["path"].tolist() == [f"s3://{bucket}/song.wav"]
    assert one["p_low"][0] == jobs.predict(tones / "tone.model", song).frame["p_low"][0]
    inside = f"{table}/features/labels.csv"
    with pytest.raises(UsageError, match="is in the table"):
        jobs.predict(model, table, output=inside, storage_options=options)


@pytest.mark.slow
def test_the_tutorials_network_on_the_demo_corpus(tmp_path: Path) -> None:
    synthesize_corpus(tmp_path / "corpus")
    extract_corpus(tmp_path / "corpus", tmp_path / "table", labels="parent", cluster="inline")
    training = jobs.train_model(tmp_path / "table", tmp_path / "genre.model")
    assert training.result.mean().accuracy >= 0.95
    assert training.model.data["left_out"] == {"silent": 1}
