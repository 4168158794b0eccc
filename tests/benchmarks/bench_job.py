"""The whole job: files per second with one worker and with two."""

from __future__ import annotations

import shutil
from pathlib import Path

import soundfile

from jobs import extract_corpus
from tests.benchmarks.bench_extractor import music_like

_FILES = 160
_SECONDS = 30


def run(folder: Path) -> None:
    """Measure, check that every file has its row, and print."""
    print(f"the job, genre-v1, {_FILES} FLAC files of {_SECONDS} s, 44.1 kHz stereo")
    corpus = folder / "corpus"
    corpus.mkdir()
    soundfile.write(corpus / "0.flac", music_like(44100, 2), 44100)
    for number in range(1, _FILES):
        shutil.copy(corpus / "0.flac", corpus / f"{number}.flac")
    rates = {}
    for workers in (1, 2):
        report = extract_corpus(corpus, folder / f"table-{workers}", workers=workers)
        assert (report.n_rows, report.n_errors) == (_FILES, 0)
        rates[workers] = _FILES / report.seconds["extract"]
        steps = ", ".join(f"{name} {s:.1f} s" for name, s in report.seconds.items() if s >= 0.05)
        print(f"  {workers} worker(s): {rates[workers]:6.1f} files/s while extracting   ({steps})")
    print(f"  two workers do {rates[2] / rates[1]:.2f} x the files of one")
