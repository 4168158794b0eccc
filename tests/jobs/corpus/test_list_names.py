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


def test_patterns_are_for_the_paths_that_are_found(music: Path) -> None:
    assert listed(music, "000002,1\nb.wav,2\n", include=["x/*"]) == {"x/b.wav": "2"}
    report = run(music / "files.csv", music.parent / "other", exclude=["x/*"])
    assert labels(music.parent / "other") == {"000/000002.mp3": "1"}
    assert report.passed_over["filtered out"] == 1


@pytest.mark.parametrize("form", ["./b.wav", "{root}/b.wav"])
def test_a_path_of_the_root_is_no_name(music: Path, form: str) -> None:
    assert listed(music, f"{form.format(root=music)},1\nd.wav,2\n") == {"d.wav": "2"}
    assert errors(music.parent / "table") == {"b.wav": "vanished"}


def test_a_name_whose_file_comes_later(music: Path) -> None:
    listed(music, "000002,1\nlater,2\n")
    assert errors(music.parent / "table") == {"later": "vanished"}
    write(music / "y" / "later.wav")
    found = listed(music, "000002,1\nlater,2\n")
    assert found == {"000/000002.mp3": "1", "y/later.wav": "2"}
    assert errors(music.parent / "table") == {}
    assert run(music / "files.csv", music.parent / "table").counts == {Change.UNCHANGED: 2}


@pytest.mark.parametrize("name", ["files.txt", "labels.csv"])
def test_full_paths_through_another_name_of_the_corpus(music: Path, name: str) -> None:
    link, table = music.parent / "link", music.parent / "table"
    link.symlink_to(music)
    for root in (link, music):
        if name == "files.txt":
            write(music / name, f"{root}/x/b.wav\n{root}/d.wav\n")
            report = run(root / name, table)
        else:
            write(music.parent / name, f"path,label\n{root}/x/b.wav,1\n{root}/d.wav,2\n")
            report = run(root, table, labels=str(music.parent / name), include=["*/b.wav", "d*"])
    assert set(report.counts) <= {Change.UNCHANGED}
    assert {"x/b.wav", "d.wav"} <= labels(table).keys()
    assert not any(path.startswith("/") for path in labels(table))


@pytest.mark.parametrize("rule", ["parent", "name:{label}.*", "tag:genre"])
def test_labels_of_a_list_are_not_dropped(music: Path, rule: str) -> None:
    with pytest.raises(UsageError, match="has labels of its own: drop --labels"):
        listed(music, "b.wav,1\n", labels=rule)
