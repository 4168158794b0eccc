"""Tables of real audio against librosa, in a process of its own."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import featurelib
from jobs import JobError, extract_corpus, verification
from jobs import verify_table as verify_of_jobs
from jobs.errors import EXIT_DIFFERS, EXIT_FAILED, EXIT_USAGE, TableError, UsageError
from jobs.verification import Verification, sampling, verify_file, verify_table
from jobs.verification.outcomes import FileOutcome
from tests.conftest import S3
from tests.support import driver
from tests.support.audio_files import tone, write_audio, write_tone
from tests.support.light import invoke
from tests.support.own_features import SOURCE as OWN_SOURCE
from tests.support.own_features import write as write_own_features

#: Statistics of all kinds, series, deltas, one value a file, and a family without counterpart.
SPEC: dict[str, Any] = {
    "name": "all-kinds",
    "features": [
        {"family": "rms", "statistics": ["mean", "var", "skew", "kurtosis", "median", "q2_5"]},
        {"family": "zero_crossing_rate", "statistics": ["min", "max", "series"]},
        {"family": "mfcc", "n_mfcc": 4, "top_db": 50.0, "statistics": ["mean", "series"]},
        {"family": "mfcc", "as": "all", "n_mfcc": 4, "pooled": True},
        {"family": "delta", "of": "mfcc", "statistics": ["std"]},
        {"family": "spectral_flux"},
        {"family": "stft", "statistics": ["mean"]},
        {"family": "tuning"},
        {"family": "tempo"},
        {"family": "waveform", "of": "percussive", "statistics": ["mean", "var"]},
    ],
}


def spec_of(**changes: Any) -> featurelib.FeatureSpec:
    return featurelib.spec_from_settings({**SPEC, **changes})


def write_corpus(folder: Path) -> None:
    write_tone(folder / "rock" / "a.wav", 330.0, seconds=1.7, sr=44_100, channels=2)
    write_tone(folder / "rock" / "b.flac", 523.0, seconds=1.1, sr=22_050)
    write_tone(folder / "jazz" / "c.ogg", 220.0, seconds=1.3, sr=48_000)
    (folder / "jazz" / "broken.wav").write_bytes(b"RIFFnothing")


def make_table(place: Path, spec: featurelib.FeatureSpec) -> Path:
    write_corpus(place / "music")
    extract_corpus(
        place / "music", place / "table", spec=spec, cluster="inline", labels="parent", buckets=2
    )
    return place / "table"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table(tmp_path_factory.mktemp("verification"), spec_of())


@pytest.fixture
def table(made: Path, tmp_path: Path) -> Path:
    """A copy of the table, to be changed; of the same corpus."""
    shutil.copytree(made, tmp_path / "table")
    return tmp_path / "table"


def plant(table: Path, path: str, column: str, value: Any, row: int = 0) -> None:
    """Change a value in the part that has the rows of a file."""
    for part in (table / "features").rglob("*.parquet"):
        rows = pq.ParquetFile(part).read()
        values = rows[column].to_pylist()
        if path in (paths := rows["path"].to_pylist()):
            values[paths.index(path) + row] = value
            index = rows.schema.get_field_index(column)
            field = rows.schema.field(column)
            pq.write_table(rows.set_column(index, field, pa.array(values, field.type)), part)


def verified(table: Path, **options: Any) -> Verification:
    return verify_table(str(table), {}, **options)


def test_a_table_is_equal_to_librosa(made: Path) -> None:
    result = verified(made)
    assert (result.n_files, result.n_verified, result.n_rows) == (3, 3, 3)
    assert result.outside == []
    assert result.exit_code == 0
    assert result.families["spectral_flux"].notes == {"without a librosa counterpart": 6}
    compared = {name: one.n_values for name, one in result.families.items()}
    assert compared == {
        "rms": 18,
        "zero_crossing_rate": 9,
        "mfcc": 3 * (4 + 1 + 2),
        "delta": 12,
        "spectral_flux": 0,
        "stft": 3,
        "tuning": 3,
        "tempo": 3,
        "waveform": 6,
    }
    json.dumps(result.to_dict(), allow_nan=False)
    *_, last = result.lines()
    assert last == "0 of 75 values are outside of the tolerance; 6 more were not compared"
    assert ["spectral_flux", "", "", "", "6 without a librosa counterpart"] in result.rows()


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"channels": "each", "sr": "native"},
        {"channels": "first", "offset": 0.25, "duration": 0.5},
        {"level": {"length_s": 0.4, "hop_s": 0.3, "last": "pad"}},
        {"level": {"length": 9000, "last": "strict"}, "channels": "each", "offset": 0.1},
    ],
    ids=["native-each", "stretch", "padded-segments", "segments-each"],
)
def test_levels_channels_and_stretches(tmp_path: Path, changes: dict[str, Any]) -> None:
    result = verified(make_table(tmp_path, spec_of(**changes)))
    assert result.n_verified == 3
    assert result.n_rows > 3 or changes["channels"] == "first"
    assert result.outside == []
    assert result.families["mfcc"].n_values > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rms_mean", 0.25),
        ("rms_q2_5", 0.0),
        ("mfcc_02_mean", math.nan),
        ("tuning", 0.49),
        ("zero_crossing_rate_series", [0.5] * 10),
    ],
)
def test_a_planted_value_is_found(table: Path, column: str, value: Any) -> None:
    plant(table, "rock/b.flac", column, value)
    result = verified(table)
    assert [(one.path, one.column) for one in result.outside] == [("rock/b.flac", column)]
    assert result.exit_code == EXIT_DIFFERS
    assert any(f"{column} of rock/b.flac: " in line for line in result.lines())
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_the_command_for_a_table_that_is_equal(made: Path) -> None:
    done = invoke("verify", made)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 of 75 values are outside of the tolerance; 6 more were not compared" in done.stdout
    assert "6 without a librosa counterpart" in done.stdout


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"no audio")
    extract_corpus(tmp_path / "music", tmp_path / "table", spec=spec_of(), cluster="inline")
    with pytest.raises(TableError, match=r"has no rows to verify; featurelib errors .* tells"):
        verified(tmp_path / "table")


def test_the_command(table: Path) -> None:
    """It finds a wrong value, and one that is just outside of the tolerance."""
    [row] = [
        row
        for part in (table / "features").rglob("*.parquet")
        for row in pq.ParquetFile(part).read(["path", "rms_mean"]).to_pylist()
        if row["path"] == "rock/b.flac"
    ]
    plant(table, "rock/b.flac", "rms_mean", row["rms_mean"] * (1 + 1.2e-4))
    plant(table, "jazz/c.ogg", "rms_mean", 7.0)
    done = invoke("verify", table, "--json")
    assert (done.returncode, done.stderr) == (EXIT_DIFFERS, "")
    values = json.loads(done.stdout)
    outside = {one["path"]: one for one in values["outside"]}
    assert {one["column"] for one in outside.values()} == {"rms_mean"}
    assert outside["jazz/c.ogg"]["value"] == 7.0
    assert 1 < outside["rock/b.flac"]["share"] < 1.4
    assert len(outside) == len(values["outside"]) == 2
    assert values["families"]["rms"]["largest"] == outside["jazz/c.ogg"]
    assert invoke("verify", table, "--sample", "0").returncode == EXIT_USAGE


@pytest.mark.slow
def test_a_file_and_a_spec(tmp_path: Path) -> None:
    file = write_tone(tmp_path / "song.flac", seconds=1.0, sr=44_100, channels=2)
    result = verify_file(str(file), spec_of())
    assert (result.n_verified, result.outside) == (1, [])
    done = invoke("verify", file, "--preset", "tutorial-v1")
    assert done.returncode == 0
    assert f"{file}: 1 of 1 files verified, 1 rows, spec tutorial-v1" in done.stdout
    with pytest.raises(JobError, match=r"none\.wav cannot be verified: there is no such file"):
        verify_file(str(tmp_path / "none.wav"), spec_of())


def test_a_feature_that_librosa_refuses_in_all_rows_is_told(tmp_path: Path) -> None:
    """The call of the user's own feature fails for short files."""
    call = "2 * np.abs(librosa.stft(y)).max(axis=0) * (1 // (len(y) > 5000))"
    source = f"{OWN_SOURCE}\n    def librosa(self, sr):\n        return {call!r}\n"
    write_own_features(tmp_path, source)
    features = [{"family": "spectral_max", "gain": 2.0}, "rms", "spectral_flux"]
    table = {"import": ["own.py"], "features": features, "defaults": {"statistics": ["max"]}}
    spec = featurelib.spec_from_settings(table, tmp_path)

    short = write_tone(tmp_path / "short.wav", seconds=0.2)
    result = verify_file(str(short), spec)
    assert result.outside == []
    assert result.families["rms"].n_values == 1
    assert list(result.not_compared) == ["spectral_max"]  # librosa has no function for flux
    [line] = [line for line in result.lines() if "no value was compared" in line]
    assert line.startswith("spectral_max: no value was compared: librosa refuses (ZeroDivision")
    assert result.to_dict()["not_compared"] == result.not_compared
    assert result.exit_code == EXIT_FAILED

    # with a longer file in the sample, it is a note
    result.add("long.wav", FileOutcome(n_rows=1, compared={"spectral_max"}))
    assert (result.n_rows, result.not_compared, result.exit_code) == (2, {}, 0)


def test_slips_in_the_command(made: Path, tmp_path: Path) -> None:
    """Each is one line that says what to do."""
    file = write_tone(tmp_path / "song.flac")
    for arguments, message in (
        ((made, "--preset", "gtzan-v1"), "is a table, which has its own spec: drop --preset"),
        ((file, "--sample", "3"), "is one file: drop --sample, which is for tables"),
        ((tmp_path / "none.mp3",), "none.mp3 cannot be verified: there is no such file"),
    ):
        done = invoke("verify", *arguments)
        assert done.returncode != 0
        [line] = done.stderr.splitlines()
        assert message in line


@pytest.mark.slow
@pytest.mark.parametrize("preset", featurelib.PRESETS)
def test_librosa_takes_all_calls_of_a_preset(tmp_path: Path, preset: str) -> None:
    rng = np.random.default_rng(3)
    y = tone(seconds=4.0, sr=22_050) + 0.01 * rng.standard_normal(4 * 22_050)
    y[::9_000] = 0.9  # beats
    file = write_audio(tmp_path / "beats.flac", y, 22_050)
    result = verify_file(str(file), featurelib.get_spec(preset))
    assert result.outside == []
    notes = {name: [*one.notes] for name, one in result.families.items()}
    assert not [note for some in notes.values() for note in some if "refuses" in note]
    if preset == "gtzan-v1":
        assert result.families["tempo"].n_values == 1
        assert result.families["tempo"].largest.expected > 60


@pytest.mark.slow
def test_files_that_changed_are_told(tmp_path: Path) -> None:
    table = make_table(tmp_path, spec_of())
    (tmp_path / "music" / "rock" / "b.flac").unlink()
    write_tone(tmp_path / "music" / "jazz" / "c.ogg", 880.0)
    result = verified(table)
    assert result.n_verified == 1
    assert result.problems == {
        "not there any more": ["rock/b.flac"],
        "changed since its rows were made": ["jazz/c.ogg"],
    }
    assert "not verified: rock/b.flac: not there any more" in result.lines()
    shutil.rmtree(tmp_path / "music")
    with pytest.raises(TableError, match=r"no file of .* could be verified \(3 not there any more"):
        verified(table)


@pytest.mark.slow
def test_the_sample_is_the_same_each_time_and_spread(tmp_path: Path) -> None:
    spec = featurelib.spec_from_settings({"features": ["zero_crossing_rate"]})
    for i in range(40):
        write_tone(tmp_path / "music" / f"{i % 4}" / f"{i:02}.wav", 200.0 + i, seconds=0.1)
    extract_corpus(
        tmp_path / "music", tmp_path / "table", spec=spec, cluster="inline", labels="parent"
    )
    seen: list[list[str]] = [[], []]
    for paths in seen:
        result = verified(tmp_path / "table", sample=16, on_file=paths.append)
        assert (result.n_verified, result.n_files) == (16, 40)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 16
    assert {path[0] for path in seen[0]} == {"0", "1", "2", "3"}


@pytest.mark.slow
def test_long_files_are_taken_last(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_S", 1.2)
    chosen: list[str] = []
    verified(made, sample=1, on_file=chosen.append)
    assert chosen == ["rock/b.flac"]


@pytest.mark.slow
def test_only_some_segments_of_a_file_are_verified(tmp_path: Path) -> None:
    spec = featurelib.spec_from_settings(
        {"features": ["zero_crossing_rate"], "level": {"length_s": 0.05}}
    )
    write_tone(tmp_path / "music" / "a.wav", seconds=2.0)
    extract_corpus(tmp_path / "music", tmp_path / "table", spec=spec, cluster="inline")
    result = verified(tmp_path / "table")
    assert result.n_rows == 8
    plant(tmp_path / "table", "a.wav", "zero_crossing_rate_mean", 1.0, row=40)
    [found] = verified(tmp_path / "table").outside
    assert found.segment == 40  # the last one is among them
    assert "zero_crossing_rate_mean of a.wav, segment 40" in "\n".join(
        verified(tmp_path / "table").lines()
    )


@pytest.mark.slow
def test_features_of_ones_own_need_their_spec(tmp_path: Path) -> None:
    config = write_own_features(tmp_path)
    write_tone(tmp_path / "music" / "a.wav")
    done = invoke(
        *("extract", tmp_path / "music", "--output", tmp_path / "table", "--config", config),
        *("--cluster", "inline"),
    )
    assert done.returncode == 0, done.stderr
    refused = invoke("verify", tmp_path / "table")
    assert refused.returncode == EXIT_USAGE
    assert "say --config FILE.toml" in refused.stderr
    done = invoke("verify", tmp_path / "table", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "without a librosa counterpart" in done.stdout


def test_another_spec_is_refused(made: Path) -> None:
    with pytest.raises(UsageError, match="was made with another spec"):
        verified(made, spec=featurelib.get_spec("tutorial-v1"))


@pytest.mark.slow
def test_a_table_runs_no_code_of_its_record(table: Path) -> None:
    """The calls are those of this version for its spec, not the texts in table.json."""
    marker = table / "was_run"
    values = json.loads((table / "_job" / "table.json").read_text())
    for column in values["columns"]:
        column["librosa"] = f"mean of open({str(marker)!r}, 'w')"
    (table / "_job" / "table.json").write_text(json.dumps(values))
    assert verified(table).n_verified == 3
    assert not marker.exists()


@pytest.mark.slow
def test_other_descriptions_do_not_make_another_table(table: Path, made: Path) -> None:
    """A table of an earlier version, which described its columns in other words, goes on."""
    values = json.loads((table / "_job" / "table.json").read_text())
    for column in values["columns"]:
        column["librosa"] += " with top_db=50 in its dB"
    (table / "_job" / "table.json").write_text(json.dumps(values))
    music = made.parent / "music"
    report = extract_corpus(
        music, table, spec=spec_of(), cluster="inline", labels="parent", buckets=2
    )
    assert report.n_read == 0


@pytest.mark.slow
def test_a_file_that_ends_the_process_is_told(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[str] = []

    def kill_once(path: str) -> None:
        children = psutil.Process().children()
        found = [child for child in children if "jobs.verification.child" in child.cmdline()]
        if found and not killed:
            killed.append(path)
            found[0].send_signal(signal.SIGKILL)

    result = verified(made, on_file=kill_once)
    assert result.n_verified == 2
    assert result.problems == {"ended the process that read it (exit code -9)": killed}


@pytest.mark.slow
def test_librosa_stays_in_its_process(made: Path) -> None:
    code = (
        "import sys\nfrom jobs.verification import verify_table\n"
        f"assert verify_table({str(made)!r}, {{}}).n_verified == 3\n"
        "assert 'librosa' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_joined_streams(tmp_path: Path) -> None:
    """Two FLAC streams of different rates in one file are resampled one by one."""
    y = tone(seconds=1.0, sr=44_100)
    one = write_audio(tmp_path / "one.flac", y, 44_100)
    other = write_audio(tmp_path / "other.flac", np.flip(y), 32_000)
    (tmp_path / "both.flac").write_bytes(one.read_bytes() + other.read_bytes())
    result = verify_file(str(tmp_path / "both.flac"), spec_of())
    assert (result.n_verified, result.outside) == (1, [])


def test_ctrl_c_ends_it_with_its_process(made: Path, tmp_path: Path) -> None:
    """Nothing is kept of a verification, so nothing is said about kept work."""
    with driver.started("verify", made, folder=tmp_path, options=("--real",)) as command:
        driver.wait_until(
            lambda: len(command.family()) > 1 or not command.is_running, "the process has started"
        )
        family = command.family()
        os.killpg(command.process.pid, signal.SIGINT)
        assert command.wait() == 130
        driver.wait_until_gone(family)
    assert command.stderr.strip() == "featurelib: interrupted"


def changed_meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let a run change the table after the files to verify were chosen."""

    def chosen(table: Any, n: int) -> Any:
        found = sampling.sample_files(table, n)
        change()
        return found

    monkeypatch.setattr(verification, "sample_files", chosen)


@pytest.mark.slow
def test_a_file_in_two_parts_counts_once(table: Path) -> None:
    part = next((table / "features" / "by_label=rock").iterdir())
    (table / "features" / "by_label=other").mkdir()
    shutil.copy(part, table / "features" / "by_label=other" / part.name)
    seen: list[str] = []
    result = verified(table, sample=3, on_file=seen.append)
    assert (result.n_files, result.n_verified) == (3, 3)
    assert sorted(seen) == ["jazz/c.ogg", "rock/a.wav", "rock/b.flac"]


@pytest.mark.slow
def test_a_table_that_changes_meanwhile(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = sorted((table / "features" / "by_label=rock").iterdir())
    [part] = [part for part in parts if "rock/a.wav" in pq.read_table(part)["path"].to_pylist()]

    def move() -> None:
        rows = pq.ParquetFile(part).read()
        pq.write_table(rows.filter(pa.compute.not_equal(rows["path"], "rock/a.wav")), part)

    with monkeypatch.context() as patch:
        changed_meanwhile(patch, move)
        result = verified(table)
        assert result.problems == {"moved by a run meanwhile": ["rock/a.wav"]}
        assert result.n_verified == 2
    with monkeypatch.context() as patch:
        changed_meanwhile(patch, part.unlink)
        with pytest.raises(TableError, match="changed by a run while it was verified: try again"):
            verified(table)


@pytest.mark.slow
@pytest.mark.parametrize(("n_frames", "n_samples"), [(2, 600), (3, 1100)])
def test_components_of_few_frames_are_not_compared(
    n_frames: int, n_samples: int, tmp_path: Path
) -> None:
    spec = spec_of(features=[{"family": "waveform", "of": "percussive"}, "rms"])
    write_audio(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, n_samples), 22_050)
    result = verify_file(str(tmp_path / "a.wav"), spec)
    [line] = [line for line in result.lines() if line.startswith("waveform: ")]
    why = f"librosa computes wrongly (medians of {n_frames} frames)"
    assert line.endswith(f"no value was compared: {why}")
    assert (result.outside, result.families["rms"].n_values) == ([], 2)


def test_arguments_of_the_python_interface(made: Path) -> None:
    with pytest.raises(UsageError, match="--sample is '5'"):
        verify_of_jobs(made, sample="5")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="another spec"):
        verify_of_jobs(made, spec="genre-v1")


def test_a_key_that_looks_like_a_url_is_a_key(s3: S3, tmp_path: Path) -> None:
    bucket, options = s3.bucket(), s3.storage_options
    sample = write_tone(tmp_path / "a.wav", 330.0, seconds=0.5)
    for key in ("arch/http://127.0.0.1:9/a.wav", "arch/file:///a.wav"):
        s3.client.put_object(Bucket=bucket, Key=key, Body=sample.read_bytes())
    spec = featurelib.spec_from_settings({"features": ["rms"]})
    table = tmp_path / "table"
    corpus = f"s3://{bucket}/arch"
    extract_corpus(corpus, table, spec=spec, cluster="inline", storage_options=options)
    result = verify_table(str(table), {}, corpus_options=options)
    assert (result.n_verified, result.problems) == (2, {})
