"""A corpus in which each track has one known defect, beside many that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import soxr

import featurelib
from jobs.demo.synthesize import synthesize
from jobs.table.reader import Table, open_table
from tests.support.light import run

SR = 44_100

#: Tracks of each label without defects.
N_GOOD = 20

GENRES = ("disco", "folk", "metal")

#: Kind of finding, and the tracks that it names.
PLANTED = {
    "duplicates": {"folk/folk.00003.wav", "folk/tagged.flac"},
    "contradicting": {"disco/disco.00005.wav", "metal/other.flac"},
    "near_duplicates": {"metal/first.wav", "metal/again.ogg"},
    "damaged": {"folk/hole.flac"},
    "cut": {"disco/cut.wav"},
    "silent": {"folk/silent.wav"},
    "cancelling": {"disco/cancelling.wav"},
    "clipped": {"folk/clipped.wav"},
    "upsampled": {"disco/upsampled.wav"},
    "low_rates": {"folk/low.wav"},
    "quiet": {"disco/quiet.wav"},
    "short": {"metal/short.wav"},
    "made_of_lossy": {"disco/from-mp3.flac"},
    "streams": {"metal/joined.ogg"},
    "outliers": {"folk/hum.wav"},
    "unusable": {"folk/broken.mp3", "metal/empty.wav"},
    "unlabelled": {"loose.wav"},
}


def music(genre: str, seed: int, sr: int = SR) -> np.ndarray:
    """Music with the noise of a recording: encoders change the features of exact silence much."""
    y = synthesize(genre, sr, seed=(1, seed))[: round((1.5 + 0.35 * (seed % 6)) * sr)]
    return y + np.random.default_rng(seed).normal(0, 2e-3, len(y))


def write(path: Path, y: np.ndarray, sr: int = SR, **tags: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = 1 if y.ndim == 1 else y.shape[1]
    with soundfile.SoundFile(path, "w", sr, channels) as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(y)


def write_good(corpus: Path) -> None:
    """Write tracks without defects."""
    for genre in GENRES:
        for i in range(N_GOOD):
            write(corpus / genre / f"{genre}.{i:05}.wav", music(genre, i))


def write_defects(corpus: Path) -> None:
    """Write the tracks of `PLANTED`."""
    for copy, original in (
        ("folk/tagged.flac", "folk/folk.00003.wav"),
        ("metal/other.flac", "disco/disco.00005.wav"),
    ):
        y, _ = soundfile.read(corpus / original)
        write(corpus / copy, y, title="A copy")
    y = music("metal", 99, 44_100)
    write(corpus / "metal" / "first.wav", y, 44_100)
    write(corpus / "metal" / "again.ogg", y, 44_100)
    _write_hole(corpus / "folk" / "hole.flac", music("folk", 100))
    write(corpus / "disco" / "cut.wav", music("disco", 101))
    data = (corpus / "disco" / "cut.wav").read_bytes()
    (corpus / "disco" / "cut.wav").write_bytes(data[: len(data) * 2 // 3])
    write(corpus / "folk" / "silent.wav", np.zeros(3 * SR))
    y = music("disco", 102)
    write(corpus / "disco" / "cancelling.wav", np.stack([y, -y], axis=1))
    write(corpus / "folk" / "clipped.wav", np.clip(8 * music("folk", 103), -1, 1))
    low = music("disco", 104, 16_000)
    write(corpus / "disco" / "upsampled.wav", soxr.resample(low, 16_000, 44_100), 44_100)
    write(corpus / "folk" / "low.wav", music("folk", 105, 16_000), 16_000)
    write(corpus / "disco" / "quiet.wav", 0.008 * music("disco", 106))
    write(corpus / "metal" / "short.wav", music("metal", 107)[: SR // 2])
    lossy = low_passed(music("disco", 108, 44_100), 16_000)
    write(corpus / "disco" / "from-mp3.flac", lossy, 44_100)
    for half in ("a.ogg", "b.ogg"):
        write(corpus / half, music("metal", 109 if half == "a.ogg" else 110))
    joined = b"".join((corpus / half).read_bytes() for half in ("a.ogg", "b.ogg"))
    (corpus / "metal" / "joined.ogg").write_bytes(joined)
    for half in ("a.ogg", "b.ogg"):
        (corpus / half).unlink()
    t = np.arange(3 * SR) / SR
    noise = np.random.default_rng(0).normal(0, 1e-3, t.size)
    write(corpus / "folk" / "hum.wav", 0.9 * np.sin(2 * np.pi * 50 * t) + noise)
    (corpus / "folk" / "broken.mp3").write_bytes(b"no audio at all" * 1000)
    (corpus / "metal" / "empty.wav").write_bytes(b"")
    write(corpus / "loose.wav", music("folk", 111))


def low_passed(y: np.ndarray, hz: float) -> np.ndarray:
    taps = scipy.signal.firwin(1001, hz, fs=44_100, window=("kaiser", 12.0))
    return scipy.signal.fftconvolve(y, taps, "same")


def _write_hole(path: Path, y: np.ndarray) -> None:
    write(path, y)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(data)


def make_table(place: Path) -> Table:
    """Extract a corpus; return its table."""
    run(
        place / "music",
        place / "table",
        spec=featurelib.get_spec("genre-v1"),
        extractor=featurelib.extract_rows,
        labels="parent",
        buckets=2,
    )
    return open_table(str(place / "table"), {})
