"""File lists whose entries are names or stems of files in any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.table.changes import Change
from tests.support.light import errors, labels, run, write


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("000/000002.mp3", "blues/blues.00000.wav", "x/b.wav", "y/b.mp3", "d.wav"):
        write(tmp_path / "music" / name)
    write(tmp_path / "music" / "y" / "d.wav")
    write(tmp_path / "music" / ".trash" / "000002.mp3")
    write(tmp_path / "music" / "000" / "000002.txt")
    return tmp_path / "music"


def listed(music: Path, text: str, **options: object) -> dict[str, str | None]:
    file = write(music / "files.csv", f"path,label\n{text}")
    run(file, music.parent / "table", **options)
    return labels(music.parent / "table")


def test_names_and_stems(music: Path) -> None:
    notes: list[str] = []
    text = "000002,1\nblues.00000,2\nb.wav,3\nd.wav,4\n"
    found = listed(music, text, observer=lambda event: notes.append(getattr(event, "text", "")))
    assert found == {
        "000/000002.mp3": "1",
        "blues/blues.00000.wav": "2",
        "x/b.wav": "3",
        "d.wav": "4",  # the whole path, so that y/d.wav is not meant
    }
    assert any(note.startswith("3 names in ") for note in notes)
    report = run(music / "files.csv", music.parent / "table")
    assert report.counts == {Change.UNCHANGED: 4}


def test_labels_from_the_folder_that_is_found(music: Path) -> None:
    write(music / "files.txt", "blues.00000\n000002.mp3\n")
    run(music / "files.txt", music.parent / "table", labels="parent")
    found = labels(music.parent / "table")
    assert found == {"000/000002.mp3": "000", "blues/blues.00000.wav": "blues"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("b,1\n", "has 'b', which may be 'x/b.wav' or 'y/b.mp3': write the whole path"),
        ("000002,1\n000002.mp3,2\n", "the path '000/000002.mp3' is listed twice"),
        ("d,1\n", "has 'd', which may be 'd.wav' or 'y/d.wav'"),
    ],
)
def test_ambiguous_names_are_refused(music: Path, text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        listed(music, text)
    assert why in str(caught.value)


def test_names_of_no_file_and_lists_with_folders(music: Path) -> None:
    assert listed(music, "000002,1\nnowhere,2\n") == {"000/000002.mp3": "1"}
    assert errors(music.parent / "table") == {"nowhere": "vanished"}
    write(music / "files.txt", "x/b.wav\n000002\n")
    run(music / "files.txt", music.parent / "t2")
    assert errors(music.parent / "t2") == {"000002": "vanished"}
