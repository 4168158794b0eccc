"""Tables of small corpora: two kinds of sounds, and hostile names and labels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

import featurelib
from jobs import extract_corpus
from tests.support.audio_files import write_audio

SR = 22050

#: Features that tell the two kinds of sounds apart, and take little time.
SPEC = featurelib.spec_from_settings(
    {
        "name": "few",
        "features": [
            *("rms", "zero_crossing_rate", "spectral_centroid", "spectral_bandwidth"),
            *("spectral_rolloff", "mfcc"),
        ],
    }
)

UNDECODABLE = "noises/broken.mp3"
EMPTY = "tones/empty.wav"

#: Names and labels that would do something, if they were taken for markup, a script or a path of
#: Vega, and one that turns the direction of text.
HOSTILE_NAMES = (
    "<img src=x onerror=window.hacked=1>.wav",
    "<script>window.hacked=1<\\script>.wav",
    "{{ 7 * 7 }} & ${window.hacked=1} %s.wav",
    "a.b[c]\"d'e`f.wav",
    "right\u202eto left\x1b[31m\nline.wav",
    "x" * 240 + ".wav",
    "\udcff not UTF-8.wav",
)
HOSTILE_LABELS = (
    "</script><script>window.hacked=1</script>",
    "<!-- <svg onload=window.hacked=1> a.b[c]",
    '" onmouseover="window.hacked=1',
)


def sound(kind: str, number: int, *, seconds: float = 1.0, sr: int = SR) -> np.ndarray:
    """Return a tone with overtones or a noise, another one for each number."""
    random = np.random.default_rng([number, kind == "tones"])
    n = round(seconds * sr)
    if kind == "tones":
        pitch = 150 * 2 ** random.uniform(0, 1.5)
        t = np.arange(n) / sr
        y = sum(np.sin(2 * np.pi * pitch * k * t + random.uniform(0, 6)) / k for k in range(1, 9))
        y = y + 0.003 * random.standard_normal(n)
    else:
        colour = random.uniform(0, 0.5)
        y = random.standard_normal(n)
        y[1:] -= colour * y[:-1]
    return (random.uniform(0.3, 0.6) * y / np.abs(y).max()).astype(np.float32)


def small_table(folder: Path, n: int = 12) -> Path:
    """Make a table of `n` tracks of each of two labels, and two files that fail."""
    corpus = folder / "corpus"
    for kind in ("tones", "noises"):
        for i in range(n):
            write_audio(corpus / kind / f"{i:02}.wav", sound(kind, i))
    (corpus / UNDECODABLE).write_bytes(bytes(range(1, 250)) * 40)
    (corpus / EMPTY).write_bytes(b"")
    return make_table(corpus, folder / "table", labels="parent")


def hostile_table(folder: Path) -> Path:
    """Make a table whose names and labels are hostile."""
    corpus = folder / '<corpus> & "co"'
    rows = []
    for i in range(24):
        name = HOSTILE_NAMES[i] if i < len(HOSTILE_NAMES) else f"{i}.wav"
        write_audio(corpus / name, sound("tones" if i % 3 else "noises", i, seconds=0.3))
        rows.append((name, HOSTILE_LABELS[i % len(HOSTILE_LABELS)]))
    (corpus / "<b>broken<\\b>.mp3").write_bytes(b"<script>window.hacked=1</script>" * 40)
    labels = folder / "labels.csv"
    with labels.open("w", newline="", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows(row for row in rows if "\udcff" not in row[0])
    return make_table(corpus, folder / "table", labels=str(labels), max_failed=1.0)


def make_table(corpus: Path, table: Path, *, spec: object = SPEC, **settings: object) -> Path:
    """Extract a corpus in this process."""
    extract_corpus(corpus, table, spec=spec, cluster="inline", **settings)  # type: ignore[arg-type]
    return table
