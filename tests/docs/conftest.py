"""Files that the examples of the documents and docstrings read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.audio_files import make_corpus, write_tone


@pytest.fixture(scope="session")
def audio_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the files of `examples` once."""
    folder = tmp_path_factory.mktemp("audio-of-examples")
    write_tone(folder / "song.wav", seconds=3.0, sr=44_100, channels=2)
    (folder / "empty.wav").touch()
    make_corpus(folder / "music", {"blues": 2, "rock": 2})
    return folder


@pytest.fixture
def examples(audio_of_examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a folder with song.wav (3 s), empty.wav (no bytes) and music/<label>/*.wav."""
    shutil.copytree(audio_of_examples, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
