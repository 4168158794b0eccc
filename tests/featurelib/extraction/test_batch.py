"""Extraction of many files at once."""

from __future__ import annotations

import io
import multiprocessing
import os
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import featurelib
from featurelib import AudioError, ParameterError, SpecError, extract, extract_files
from tests.featurelib.support.signals import chord, encode, noise
from tests.support.quick import slow_but

LIGHT = featurelib.FeatureSpec.from_dict(
    {
        "name": "light",
        "level": {"length_s": 0.5},
        "features": ["rms", {"family": "mfcc", "n_mfcc": 3}],
    }
)


@pytest.fixture
def files(tmp_path):
    paths = []
    for i in range(5):
        path = tmp_path / f"{i}.wav"
        path.write_bytes(encode(chord(0.3 + 0.5 * i)))
        paths.append(path)
    return paths


def by_one(paths, spec) -> pd.DataFrame:
    """Results of `extract` for each file, concatenated."""
    frames = []
    for path in paths:
        frame = extract(path, spec)
        frame.insert(0, "path", str(path))
        frames.append(frame)
    frame = pd.concat(frames)
    for name in ("channel", "segment"):
        frame[name] = frame[name].astype("Int32")
    return frame.set_index(["path", "channel", "segment"])


def test_rows_are_those_of_extract_in_the_order_of_the_sources(files):
    expected = by_one(files[::-1], LIGHT)
    assert len(expected) > len(files)
    found = extract_files(files[::-1], LIGHT, workers=1)
    pd.testing.assert_frame_equal(found, expected, check_index_type=False)
    assert found.index.names == ["path", "channel", "segment"]


def test_processes_give_the_same(files):
    expected = extract_files(files, LIGHT, workers=1)
    many = [files[i % len(files)] for i in range(70)]
    found = extract_files(many, LIGHT, workers=2)
    pd.testing.assert_frame_equal(found[: len(expected)], expected)
    assert list(dict.fromkeys(found.index.get_level_values("path"))) == [str(p) for p in files]
    assert len(found) == 14 * len(expected)


def test_channels_are_in_the_index(tmp_path):
    path = tmp_path / "stereo.wav"
    path.write_bytes(encode(np.stack([chord(1.0), noise(1.0)], axis=1)))
    spec = featurelib.FeatureSpec.from_dict(
        {"name": "each", "channels": "each", "features": ["rms"]}
    )
    found = extract_files([path], spec)
    assert found.index.tolist() == [(str(path), 0, 0), (str(path), 1, 0)]


@pytest.mark.parametrize("workers", slow_but([1], [1, 2]))
def test_a_file_that_cannot_be_used_is_raised_or_a_row(files, tmp_path, workers):
    bad, gone = tmp_path / "bad.wav", tmp_path / "gone.wav"
    bad.write_bytes(b"no audio")
    sources = [files[0], bad, files[1], gone]
    with pytest.raises(AudioError) as caught:
        extract_files(sources, LIGHT, workers=workers)
    assert caught.value.kind == "undecodable"
    assert caught.value.__notes__ == [f"while reading {bad}"]
    found = extract_files(sources, LIGHT, workers=workers, on_error="row")
    failed = found[found["error_kind"].notna()]
    assert failed["error_kind"].tolist() == ["undecodable", "vanished"]
    assert failed.index.get_level_values("path").tolist() == [str(bad), str(gone)]
    assert failed["rms_mean"].isna().all()
    assert found.drop(failed.index)["rms_mean"].notna().all()
    assert failed["message"].str.len().gt(0).all()
    found.to_parquet(tmp_path / "found.parquet")  # Parquet cannot hold exceptions
    again = pd.read_parquet(tmp_path / "found.parquet")
    assert again["error_kind"].dropna().tolist() == ["undecodable", "vanished"]


def test_a_name_that_is_not_utf8_is_escaped(files, tmp_path):
    odd = files[0].rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.wav"))
    found = extract_files([odd, files[1]], LIGHT)
    names = dict.fromkeys(found.index.get_level_values("path"))
    assert list(names) == [f"{tmp_path}/\\xe9.wav", str(files[1])]


def test_no_sources_give_no_rows_and_all_columns():
    found = extract_files([], LIGHT)
    assert len(found) == 0
    assert "rms_mean" in found.columns


def test_bytes_and_file_objects_have_numbers_for_paths(files):
    data = files[0].read_bytes()
    found = extract_files([data, io.BytesIO(data)], LIGHT)
    assert found.index.get_level_values("path").tolist() == ["#0", "#1"]
    with pytest.raises(ParameterError, match=r"source 1 is a BytesIO: use workers=1"):
        extract_files([data, io.BytesIO(data)], LIGHT, workers=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"workers": 0}, "workers=0"),
        ({"workers": True}, "workers=True"),
        ({"on_error": "skip"}, "on_error='skip'.*'raise' and 'row'"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used_are_named(files, arguments, words):
    with pytest.raises(ParameterError, match=words):
        extract_files(files, LIGHT, **arguments)


def test_one_source_is_refused(files):
    with pytest.raises(ParameterError, match=r"featurelib\.extract"):
        extract_files(str(files[0]), LIGHT)


def test_a_preset_goes_by_its_name(files):
    found = extract_files(files[:1], preset="tutorial-v1")
    assert "mfcc20" in found.columns
    with pytest.raises(SpecError, match="one of the two"):
        extract_files(files[:1], LIGHT, preset="tutorial-v1")


def test_progress_is_lines_where_there_is_no_terminal(files, capfd):
    extract_files(files, LIGHT, progress=True)
    assert capfd.readouterr().err == "extracting: 5 files\n"


_DIES = """
import os
import featurelib

class Feature:
    pass

if __name__ == "__main__":
    spec = featurelib.spec_from_settings({"import": ["deadly.py"], "features": ["deadly"],
                                          "defaults": {"statistics": ["mean"]}}, %r)
    try:
        featurelib.extract_files([%r] * 40, spec, workers=2)
    except featurelib.FeaturelibError as error:
        print(error)
"""

_DEADLY = """
import os
from dataclasses import dataclass
from typing import ClassVar
from multiprocessing import parent_process
from featurelib.features import Feature
from featurelib.features.rms import RMS


@dataclass(frozen=True, kw_only=True)
class Deadly(RMS):
    family: ClassVar[str] = "deadly"

    def operator(self, sr):
        if parent_process() is not None:
            os._exit(11)
        return super().operator(sr)
"""


@pytest.mark.slow
def test_a_process_that_dies_is_said(files, tmp_path):
    (tmp_path / "deadly.py").write_text(_DEADLY)
    script = tmp_path / "script.py"
    script.write_text(_DIES % (str(tmp_path), str(files[0])))
    done = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    assert "a process died over a file: jobs.extract_corpus finds which" in done.stdout


_WITHOUT_GUARD = """
import featurelib
spec = featurelib.FeatureSpec.from_dict({"name": "a", "features": ["rms"]})
featurelib.extract_files(%r, spec, workers=2)
"""


@pytest.mark.slow
def test_processes_that_cannot_start_are_not_blamed_on_a_file(files, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_WITHOUT_GUARD % [str(path) for path in files])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert "no process could start" in done.stderr.splitlines()[-1]


def _in_a_daemon(paths, queue):
    many = paths * 50
    queue.put(len(extract_files(many, LIGHT).groupby("path")))
    try:
        extract_files(many, LIGHT, workers=2)
    except ParameterError as error:
        queue.put(str(error))


def test_a_daemonic_process_extracts_by_itself(files):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_in_a_daemon, args=(files, queue), daemon=True)
    process.start()
    assert queue.get(timeout=120) == len(files)
    assert "a daemonic process can start no others" in queue.get(timeout=120)
    process.join()


@pytest.mark.parametrize("kind", [bytearray, memoryview, io.BytesIO])
def test_one_source_of_any_kind_is_refused(files, kind):
    with pytest.raises(ParameterError, match="is one source"):
        extract_files(kind(files[0].read_bytes()), LIGHT, on_error="row")


@pytest.mark.parametrize("name", ["path", "Message", "error_kind"])
def test_columns_that_the_result_has_already(files, name):
    spec = featurelib.FeatureSpec.from_dict(
        {"name": "a", "features": [{"family": "rms", "statistics": ["mean"], "columns": name}]}
    )
    with pytest.raises(SpecError, match="give the feature another template"):
        extract_files(files, spec, on_error="row")
    if name != "path":
        assert name in extract_files(files[:1], spec).columns


def test_a_server_that_does_not_answer_is_no_missing_file():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    frame = extract_files([f"http://127.0.0.1:{port}/x.wav"], LIGHT, on_error="row")
    assert frame["error_kind"].tolist() == ["unreadable"]
    assert "Connect" in frame["message"].iloc[0]
