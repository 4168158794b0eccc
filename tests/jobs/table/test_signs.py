"""What rows say of their audio: counted by runs, shown by status, listed, and in the log."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurelib
from jobs.status import partial_rows, table_status
from jobs.table.signs import COLUMNS, count_signs, sign_lines, signs_of
from tests.featurelib.support.encoders import made
from tests.support.audio_files import tone, write_audio
from tests.support.light import features, invoke, run
from tests.support.moments import Interrupted, at, die
from tests.support.tables import log_of


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signs") / "music"
    y = tone(seconds=2.0)
    write_audio(folder / "whole.wav", y)
    write_audio(folder / "whole.m4a.wav", y).with_name("whole.m4a").write_bytes(
        made("m4a_alac", tone(seconds=1.0, sr=44_100))
    )
    (folder / "whole.m4a.wav").unlink()
    write_audio(folder / "cancels.wav", np.stack([y, -y], axis=1))
    write_audio(folder / "silent.wav", np.zeros((1000, 2), np.float32))
    data = write_audio(folder / "cut.wav", y).read_bytes()
    (folder / "cut.wav").write_bytes(data[: len(data) // 2])
    data = bytearray(write_audio(folder / "damaged.flac", y).read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "damaged.flac").write_bytes(data)
    (folder / "none.mp3").write_bytes(b"no audio at all")
    return folder


SIGNS = {"damaged": 1, "cut": 1, "cancelling": 1}


@pytest.fixture(scope="module")
def table(music: Path) -> Path:
    report = run(music, music.parent / "t", extractor=featurelib.extract_rows)
    assert report.signs == SIGNS
    assert report.to_dict()["signs"] == SIGNS
    [line] = [line for line in report.summary_lines() if "Not decoded" in line]
    assert line.startswith("Not decoded as a whole: 1 damaged, 1 cut short; see featurelib errors")
    assert (
        "Channels cancel out when mixed down: 1 (mix_peak far below peak)" in report.summary_lines()
    )
    return music.parent / "t"


def test_signs_of_a_row() -> None:
    assert signs_of("whole", 0.5, 0.5, False) == []
    assert signs_of("damaged", 0.5, 0.5, False) == ["damaged"]
    assert signs_of("cut", 0.5, 0.0049, False) == ["cut", "cancelling"]
    assert signs_of("whole", 0.5, 0.0051, False) == []
    assert signs_of("whole", 1e-5, 0.0, True) == []  # of silence nothing is lost


ROWS = st.tuples(
    st.sampled_from(["whole", "damaged", "cut", None]),
    st.floats(0, 2, width=32),
    st.floats(0, 2, width=32) | st.floats(0, 0.015625, width=32),
    st.booleans(),
)


@given(st.lists(ROWS, max_size=20))
def test_signs_of_many_rows_are_those_of_each(
    rows: list[tuple[str | None, float, float, bool]],
) -> None:
    types = (pa.string(), pa.float32(), pa.float32(), pa.bool_())
    columns = zip(*rows, strict=True) if rows else [()] * 4
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    expected = Counter(sign for row in rows for sign in signs_of(*row))
    assert count_signs(pa.table(arrays, names=COLUMNS)) == expected


def test_nothing_is_said_of_nothing() -> None:
    assert sign_lines({}, "/t") == []


def test_rows_say_what_was_decoded(table: Path) -> None:
    rows = {row["path"]: row for row in features(table).to_pylist()}
    found = {path: (row["decoder"], row["decoding"]) for path, row in rows.items()}
    assert found == {
        "cancels.wav": ("libsndfile", "whole"),
        "cut.wav": ("libsndfile", "cut"),
        "damaged.flac": ("ffmpeg", "damaged"),
        "silent.wav": ("libsndfile", "whole"),
        "whole.m4a": ("ffmpeg", "whole"),
        "whole.wav": ("libsndfile", "whole"),
    }
    assert rows["cancels.wav"]["mix_peak"] <= 2.0**-16 < 0.3 < rows["cancels.wav"]["peak"]
    assert rows["whole.wav"]["mix_peak"] == rows["whole.wav"]["peak"]
    assert rows["whole.wav"]["lost_s"] == 0.0
    assert rows["cut.wav"]["lost_s"] is None
    n_lost = round(rows["damaged.flac"]["lost_s"] * 22_050)
    assert n_lost > 0
    assert rows["damaged.flac"]["duration_s"] == pytest.approx(2.0 - n_lost / 22_050, abs=1e-9)


def test_the_log_names_the_files(table: Path) -> None:
    lines = [line for line in log_of(table) if line["event"] == "sign"]
    assert {(line["path"], line["sign"]) for line in lines} == {
        ("damaged.flac", "damaged"),
        ("cut.wav", "cut"),
        ("cancels.wav", "cancelling"),
    }


def test_status_counts_them(table: Path) -> None:
    status = table_status(str(table), {})
    assert status.signs == SIGNS
    assert any("1 damaged, 1 cut short" in line for line in status.lines())
    assert status.to_dict()["signs"] == SIGNS


def test_the_command_lists_them(table: Path) -> None:
    assert partial_rows(str(table), {})["path"].to_pylist() == ["cut.wav", "damaged.flac"]
    text = invoke("errors", "--partial", table).stdout.splitlines()
    assert len(text) == 2
    assert text[0].split() == ["cut.wav", "cut", "1.000", "s", "decoded", "unknown", "lost"]
    found = json.loads(invoke("errors", "--partial", "--json", table).stdout)
    assert [row["decoding"] for row in found] == ["cut", "damaged"]
    rows = list(csv.DictReader(io.StringIO(invoke("errors", "--partial", "--csv", table).stdout)))
    assert [row["path"] for row in rows] == ["cut.wav", "damaged.flac"]


def test_a_table_without_any_says_so(tmp_path: Path) -> None:
    write_audio(tmp_path / "music" / "a.wav", tone())
    run(tmp_path / "music", tmp_path / "t", extractor=featurelib.extract_rows)
    assert (
        invoke("errors", "--partial", tmp_path / "t").stdout == "No file was decoded only in part\n"
    )


def test_what_an_interrupted_run_found_is_counted_by_the_next(music: Path, tmp_path: Path) -> None:
    table = tmp_path / "t"
    with pytest.raises(Interrupted):
        run(music, table, extractor=featurelib.extract_rows, observer=at("merge", die))
    report = run(music, table, extractor=featurelib.extract_rows)
    assert (report.n_reused, report.signs) == (7, SIGNS)


# --- decoders that may not be used


def test_a_driver_with_an_old_libsndfile_refuses(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfile.__libsndfile_version__", "1.1.0")
    with pytest.raises(featurelib.DecoderError, match=r"libsndfile is 1\.1\.0 here, and 1\.2\.2"):
        run(music, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_driver_whose_libsndfile_lacks_a_codec_refuses(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "soundfile.available_subtypes", lambda container: {"PCM_16": "", "VORBIS": ""}
    )
    with pytest.raises(featurelib.DecoderError, match=r"without OPUS in OGG"):
        run(music, tmp_path / "t")
