"""Labels out of the paths of files: the folder, or a part of the name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.path_labels import parent_labels, path_labels
from jobs.errors import UsageError
from jobs.storage.names import encode_path, is_utf8
from jobs.table.changes import Change
from tests.support.light import labels, run, write


def labelled(pattern: str, *paths: str) -> list[str | None]:
    rule = path_labels(f"name:{pattern}")
    assert rule is not None
    return rule.of(pa.array(paths, pa.string())).to_pylist()


def test_parent_labels() -> None:
    paths = ["rock/live/1.wav", "1.wav", r"AC\\DC/1.wav", r"\xff/1.wav", "//1.wav"]
    labels = ["live", None, r"AC\DC", r"\xff", None]
    assert parent_labels(pa.array(paths)).to_pylist() == labels
    assert parent_labels(pa.array(paths)[1:3]).to_pylist() == labels[1:3]
    assert parent_labels(pa.array([], pa.string())).to_pylist() == []


@pytest.mark.parametrize(
    ("pattern", "path", "label"),
    [
        ("{label}.*", "blues.00000.wav", "blues"),
        ("{label}.*", "x.y/blues.00000.wav", "blues"),
        ("{label}.*.wav", "drum & bass.1.wav", "drum & bass"),
        ("{label}.*.wav", "blues.wav", None),
        ("{label}-*", "rock-roll-1.wav", "rock"),
        ("*-{label}.*", "0-rock-1.wav", "rock-1"),
        ("?-{label}.wav", "0-rock.wav", "rock"),
        ("?-{label}.wav", "10-rock.wav", None),
        ("{label}", "a/rock.wav", "rock.wav"),
        ("{label}.wav", "rock.WAV", None),
        ("{label}.*", ".hidden", None),
        ("{label}/*", "rock/live/1.wav", "live"),
        ("{label}/*/*", "rock/live/1.wav", "rock"),
        ("/{label}/*/*", "a/rock/live/1.wav", "rock"),
        ("{label}/*/*", "live/1.wav", None),
        ("set[1] (+)/{label}$.*", "set[1] (+)/rock$.wav", "rock"),
        (r"AC\DC {label}.*", r"AC\\DC x\\y.wav", r"x\y"),
        ("{label}.*", "two\nlines.wav", "two\nlines"),
        ("é-{label}.*", "é-ñ.wav", "ñ"),
    ],
)
def test_a_part_of_the_name(pattern: str, path: str, label: str | None) -> None:
    assert labelled(pattern, path) == [label]


@given(st.text(min_size=1).filter(lambda text: not {"/", ".", "\0"} & set(text)))
def test_any_name_before_the_first_dot_is_a_label(name: str) -> None:
    if is_utf8(encode_path(name)) and "\\" not in name:
        assert labelled("{label}.*", f"x/{name}.00001.wav", f"{name}.au") == [name, name]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "has to have {label} once"),
        ("*.wav", "has to have {label} once"),
        ("{label}{label}", "has to have {label} once"),
        ("{genre}.*{label}", "'{genre}' has no meaning"),
        ("{label}.{*}.wav", "'{*}' has no meaning"),
        ("{label", "has to have {label} once"),
    ],
)
def test_a_malformed_pattern(pattern: str, why: str) -> None:
    with pytest.raises(UsageError, match=r"name:\{label\}\.\*") as caught:
        path_labels(f"name:{pattern}")
    assert why in str(caught.value)
    assert repr(f"name:{pattern}") in str(caught.value)


def test_a_flat_folder_is_labelled_and_another_pattern_moves_the_rows(tmp_path: Path) -> None:
    for name in ("blues.00000.wav", "rock.00000.wav", "intro.wav"):
        write(tmp_path / "music" / name)
    report = run(tmp_path / "music", tmp_path / "t", labels="name:{label}.0*")
    expected = {"blues.00000.wav": "blues", "rock.00000.wav": "rock", "intro.wav": None}
    assert labels(tmp_path / "t") == expected
    [note] = report.notes
    assert note == (
        f"1 files of {tmp_path}/music have no label: their names do not match '{{label}}.0*'"
    )
    folders = {path.name for path in (tmp_path / "t" / "features").iterdir()}
    assert folders == {"by_label=blues", "by_label=rock", "by_label=unlabelled"}

    report = run(tmp_path / "music", tmp_path / "t", labels="name:{label}.*")
    assert report.counts == {Change.UNCHANGED: 2, Change.RELABELLED: 1}
    assert report.n_read == 0
    assert labels(tmp_path / "t")["intro.wav"] == "intro"
    with pytest.raises(UsageError, match="was made with --labels name, and now it is parent"):
        run(tmp_path / "music", tmp_path / "t", labels="parent")


def test_a_pattern_that_no_name_matches_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    with pytest.raises(UsageError, match=r"'\{label\}-\*'; one of them is 'a.wav': give another"):
        run(tmp_path / "music", tmp_path / "t", labels="name:{label}-*")
    assert not (tmp_path / "t" / "features").exists()


def test_the_names_of_a_list_s_files(tmp_path: Path) -> None:
    for name in ("x/blues.1.wav", "y/rock.1.wav"):
        write(tmp_path / "music" / name)
    files = write(tmp_path / "music" / "files.txt", "x/blues.1.wav\ny/rock.1.wav\n")
    run(files, tmp_path / "t", labels="name:{label}.*")
    assert labels(tmp_path / "t") == {"x/blues.1.wav": "blues", "y/rock.1.wav": "rock"}
