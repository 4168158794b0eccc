"""Files that are damaged, empty or lie: they cost themselves alone."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import featurelib
from tests.support.audio_files import tone, write_audio, write_tone
from tests.support.light import (
    errors,
    features,
    run,
)


def _riff(data: bytes, *, channels: int = 1, sr: int = 22050, claims: int | None = None) -> bytes:
    size = len(data) if claims is None else claims
    width = 2 * channels
    rate = sr * width & 0xFFFFFFFF
    fmt = struct.pack("<HHIIHH", 1, channels, sr, rate, width & 0xFFFF, 16)
    head = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(len(head) + size, 0xFFFFFFFF)) + head + data


def _rf64(data: bytes, claims: int) -> bytes:
    fmt = struct.pack("<HHIIHH", 1, 1, 22050, 44100, 2, 16)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, claims + 72, claims, claims // 2, 0)
    head = b"WAVE" + ds64 + b"fmt " + struct.pack("<I", 16) + fmt
    return b"RF64\xff\xff\xff\xff" + head + b"data\xff\xff\xff\xff" + data


def _absurd_flac(data: bytes) -> bytes:
    # total samples: 36 bits at byte 21 of the file, after "fLaC" and the block's header
    changed = bytearray(data)
    changed[21] |= 0x0F
    changed[22:26] = b"\xff\xff\xff\xff"
    return bytes(changed)


def make_hostile(folder: Path) -> None:
    """Write every kind of bad file that has been seen, and some that could be."""
    y = tone(seconds=1.0)
    for suffix in (".wav", ".flac", ".mp3", ".ogg"):
        data = write_audio(folder / f"good{suffix}", y).read_bytes()
        (folder / f"cut{suffix}").write_bytes(data[: len(data) // 2])
        (folder / f"head{suffix}").write_bytes(data[:40])
        (folder / f"zero{suffix}").write_bytes(b"")
        (folder / f"noise{suffix}").write_bytes(np.random.default_rng(1).bytes(5000))
    (folder / "text.mp3").write_text("this is no music\n" * 100)
    pcm = (y * 32767).astype("<i2").tobytes()
    (folder / "no-channels.wav").write_bytes(_riff(pcm, channels=0))
    (folder / "many-channels.wav").write_bytes(_riff(pcm, channels=65535))
    (folder / "no-rate.wav").write_bytes(_riff(pcm, sr=0))
    (folder / "absurd-rate.wav").write_bytes(_riff(pcm, sr=0xFFFFFFFF))
    (folder / "absurd.wav").write_bytes(_riff(pcm, claims=0xFFFFFFF0))
    (folder / "absurd64.wav").write_bytes(_rf64(pcm, 2**46))
    (folder / "absurd.flac").write_bytes(_absurd_flac((folder / "good.flac").read_bytes()))
    (folder / "no-samples.wav").write_bytes(_riff(b""))
    write_audio(folder / "one-sample.wav", y[:1])
    write_audio(folder / "short.wav", y[:100])
    write_audio(folder / "silent.wav", np.zeros(22050, np.float32))
    write_audio(folder / "constant.wav", np.ones(22050, np.float32))
    for name, value in (("nan", math.nan), ("infinite", math.inf), ("huge", 1e38)):
        bad = y.copy()
        bad[1000] = value
        write_audio(folder / f"{name}.wav", bad, subtype="FLOAT")
    (folder / "song.m4a").write_bytes(
        b"\x00\x00\x00 ftypM4A \x00\x00\x02\x00isomiso2" + b"\0" * 500
    )


UNUSABLE = {
    "zero.wav": "empty",
    "zero.flac": "empty",
    "zero.mp3": "empty",
    "zero.ogg": "empty",
    "no-samples.wav": "empty",
    "text.mp3": "undecodable",
    "song.m4a": "undecodable",
    "no-channels.wav": "undecodable",
    "noise.wav": "undecodable",
    "noise.flac": "undecodable",
    "nan.wav": "not_finite",
    "infinite.wav": "not_finite",
}
USABLE = {
    *(f"good{suffix}" for suffix in (".wav", ".flac", ".mp3", ".ogg")),
    "cut.wav",
    "absurd.wav",
    "short.wav",
    "silent.wav",
    "constant.wav",
}


def test_hostile_files_cost_themselves_alone(tmp_path: Path) -> None:
    make_hostile(tmp_path / "music")
    n_files = len(list((tmp_path / "music").iterdir()))
    options = {"spec": featurelib.get_spec("genre-v1"), "extractor": featurelib.extract_rows}
    report = run(tmp_path / "music", tmp_path / "t", **options)
    failed, rows = errors(tmp_path / "t"), features(tmp_path / "t")
    assert report.n_files + report.n_errors == len(failed) + len(rows) == n_files
    assert not failed.keys() & set(rows["path"].to_pylist())
    assert {name: failed.get(name) for name in UNUSABLE} == UNUSABLE
    assert set(rows["path"].to_pylist()) >= USABLE
    assert set(failed.values()) <= {"empty", "undecodable", "not_finite", "too_short"}
    for name in featurelib.feature_names("genre-v1"):
        assert np.isfinite(rows[name].to_numpy()).all(), name
    by_path = {row["path"]: row for row in rows.to_pylist()}
    assert by_path["silent.wav"]["is_silent"]
    assert by_path["cut.wav"]["duration_s"] == pytest.approx(0.5, abs=0.01)
    assert by_path["absurd.wav"]["duration_s"] == pytest.approx(1.0)


_PEAK = """
import sys
import featurelib
from tests.support.memory import peak_bytes
from tests.support.light import run
run(sys.argv[1], sys.argv[2], extractor=featurelib.extract_rows)
print(peak_bytes())
"""


def _peak_mb(corpus: Path, table: Path) -> float:
    line = [sys.executable, "-c", _PEAK, str(corpus), str(table)]
    top = Path(__file__).parents[2]
    result = subprocess.run(line, capture_output=True, text=True, check=True, cwd=top)
    return int(result.stdout) / 2**20


@pytest.mark.slow
def test_no_header_s_claim_is_allocated(tmp_path: Path) -> None:
    make_hostile(tmp_path / "hostile")
    write_tone(tmp_path / "good" / "good.wav", seconds=1.0)
    usual = _peak_mb(tmp_path / "good", tmp_path / "t1")
    assert _peak_mb(tmp_path / "hostile", tmp_path / "t2") < usual + 100
