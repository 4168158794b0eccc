"""Names of images: safe on every file system, readable, and no two files have the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.images.names import image_name
from jobs.storage.names import readable


@pytest.mark.parametrize(
    ("path", "label", "segment", "by_folder", "name"),
    [
        ("blues/blues.00000.wav", "blues", None, True, "blues/blues.00000.wav.png"),
        ("blues/blues.00000.wav", "blues", 3, True, "blues/blues.00000.wav-0003.png"),
        ("a/blues/x.wav", "blues", None, True, "blues/a/x.wav.png"),
        ("000/000002.mp3", "Rock", None, False, "Rock~1/000/000002.mp3.png"),
        ("x.wav", None, None, True, "unlabelled/x.wav.png"),
        ("x.wav", "unlabelled", None, False, "%75nlabelled/x.wav.png"),
        ("x.wav", "AC/DC", None, False, "AC%2FDC~f/x.wav.png"),
        ("x.wav", "..", None, False, ".%2E/x.wav.png"),
        ("x.wav", "", None, False, "~/x.wav.png"),
        ("/data/../x.wav", "a", None, False, "a/~/data/.%2E/x.wav.png"),
        ("https://host/x.wav", "a", None, False, "a/https%3A/~/host/x.wav.png"),
        (r"caf\xe9 \\.wav", "a", None, False, r"a/caf%5Cxe9 %5C%5C.wav.png"),
    ],
)
def test_names(path: str, label: str | None, segment: int | None, by_folder: bool, name: str):
    assert image_name(path, label, segment, by_folder=by_folder) == f"images/{name}"


def test_folders_that_are_read_alike_stay_apart() -> None:
    r"""A byte that is not UTF-8, and the four characters with which it is shown."""
    byte, text = r"\xe9", r"\\xe9"
    assert readable(byte) == readable(text) == byte
    paths = [f"{byte}/a.wav", f"{text}/a.wav", f"{text}/{byte}/a.wav", f"~~/{text}/{byte}/a.wav"]
    names = {image_name(path, byte, None, by_folder=True) for path in paths}
    assert len(names) == len(paths)


@pytest.mark.parametrize("folder", ["a", "x" * 300, "\u65e5\u672c" * 40])
def test_names_of_deep_folders_are_keys_of_objects(folder: str) -> None:
    """They have at most 1024 bytes, with the prefix of the table."""
    for depth in (1, 2, 5, 200, 400):
        path = "/".join([folder] * depth + ["X" * 300 + ".wav"])
        paths = (path, path.replace("X", "Y"), f"b/{path}")
        names = {image_name(path, "L" * 300, 99_999, by_folder=False) for path in paths}
        assert len(names) == len(paths)
        assert max(map(len, names)) < 960


PIECES = st.one_of(
    st.sampled_from(["a", "A", "a.wav", "A.WAV", "a.mp3", "..", ".", "", "a~1", "~", "~~", "rock"]),
    st.sampled_from(["unlabelled", "%75nlabelled", "é", "e\u0301", "x" * 300, "X" * 300, "x\\\\"]),
    st.text(max_size=8).filter(lambda text: "/" not in text),
)
PATHS = st.lists(PIECES, min_size=1, max_size=4).map("/".join)
LABELS = st.one_of(st.none(), PIECES, PATHS)


@given(PATHS, PATHS, LABELS, LABELS, st.integers(0, 20_000), st.integers(0, 20_000))
def test_no_two_images_have_the_same_name(a, b, label_a, label_b, n, m) -> None:
    for by_folder in (False, True):
        if by_folder:
            label_a, label_b = folder_of(a), folder_of(b)
        for i, j in ((None, None), (n, m)):
            one = image_name(a, label_a, i, by_folder=by_folder)
            other = image_name(b, label_b, j, by_folder=by_folder)
            if a == b and i == j and label_a == label_b:
                assert one == other
            elif a != b or i != j:
                assert one.casefold() != other.casefold()


def folder_of(path: str) -> str | None:
    """Return the label that `--labels parent` gives."""
    *folders, _ = path.split("/")
    return readable(folders[-1]) or None if folders else None


@given(PATHS, LABELS, st.booleans())
def test_names_are_safe(path: str, label: str | None, by_folder: bool) -> None:
    name = image_name(path, label, None, by_folder=by_folder)
    first, *parts = name.split("/")
    assert first == "images"
    assert name.isascii()
    assert name.isprintable()
    assert name.endswith(".png")
    assert len(parts) >= 2
    assert not {"", ".", ".."} & set(parts)
    assert not set('<>:"|?*\\') & set(name)
    assert all(len(part) <= 255 for part in parts)
    assert not any(part.endswith((".", " ")) for part in parts)
    assert len(name) < 1000
