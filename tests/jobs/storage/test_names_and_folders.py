"""Stored forms of names, label folders, and buckets."""

from __future__ import annotations

import os
import unicodedata
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.hashing import bucket_of, path_hashes
from jobs.storage.names import decode_path, encode_path, readable, stored_path
from jobs.table.layout import UNLABELLED, bucket_of_part, label_folder, part_name

# bytes as file names have them, rich in what the stored form treats in its own way
NAMES = st.lists(
    st.sampled_from([b"\\", b"x", b"ff", b"\\xff", b"\xff", b"\xc3\xa9", b"\xc3", b"n", b"\n"])
    | st.binary(min_size=1, max_size=4)
).map(b"".join)


@given(NAMES)
def test_a_stored_form_gives_the_name_back(name: bytes) -> None:
    stored = encode_path(os.fsdecode(name))
    assert os.fsencode(decode_path(stored)) == name
    stored.encode("utf-8")  # valid, so Parquet and every reader take it


@given(NAMES, NAMES)
def test_no_two_names_share_a_stored_form(a: bytes, b: bytes) -> None:
    same = encode_path(os.fsdecode(a)) == encode_path(os.fsdecode(b))
    assert same == (a == b)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (b"rock/a b.wav", "rock/a b.wav"),
        (b"a=b%20#'\".wav", "a=b%20#'\".wav"),
        (b"two\nlines.wav", "two\nlines.wav"),
        ("é.wav".encode(), "é.wav"),
        (b"\xe9.wav", r"\xe9.wav"),
        (rb"\xe9.wav", r"\\xe9.wav"),
        (b"back\\slash", r"back\\slash"),
    ],
)
def test_stored_forms(name: bytes, stored: str) -> None:
    assert encode_path(os.fsdecode(name)) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a b.wav", "a b.wav"),
        (r"AC\DC.wav", r"AC\\DC.wav"),
        (r"AC\\DC.wav", r"AC\\DC.wav"),
        (r"\xe9.wav", r"\xe9.wav"),
        (r"\\xe9.wav", r"\\xe9.wav"),
        ("\udce9.wav", r"\xe9.wav"),
        (r"\x41.wav", r"\\x41.wav"),  # no byte that a stored form escapes
        (r"\xc3\xa9.wav", r"\\xc3\\xa9.wav"),  # these are UTF-8
    ],
)
def test_paths_in_either_form(text: str, stored: str) -> None:
    assert stored_path(text) == stored


@given(NAMES)
def test_a_stored_form_is_taken_for_one(name: bytes) -> None:
    stored = encode_path(os.fsdecode(name))
    assert stored_path(stored) == stored


def test_names_for_people() -> None:
    assert readable(encode_path("AC\\DC")) == "AC\\DC"
    assert readable(encode_path("\\\udcff\\")) == r"\\xff" + "\\"


LABELS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("aAbB1~%.- _ÉéK\u212a\u017f"),
    min_size=1,
    max_size=80,
)


@given(LABELS)
def test_a_label_is_the_folder_s_key(label: str) -> None:
    folder = label_folder(label)
    assert "/" not in folder
    assert "=" not in folder.removeprefix("by_label=")
    assert len(folder.encode()) <= 255
    if len(folder) < 200:
        key = folder.removeprefix("by_label=").partition("~")[0]
        assert unquote(key) in (label, f"_{label}")


def as_one(folder: str) -> str:
    """Return what file systems that fold case, and Unicode forms, take a name for."""
    return unicodedata.normalize("NFKC", folder).casefold().rstrip(". ")


@st.composite
def alike(draw: st.DrawFn) -> tuple[str, str]:
    """Give two labels that some file system may take for one, or their keys."""
    label = draw(LABELS)
    letters = draw(st.lists(st.booleans(), min_size=len(label), max_size=len(label)))
    swapped = "".join(c.swapcase() if swap else c for c, swap in zip(label, letters, strict=True))
    form = draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    others = [swapped, label.upper(), label.title(), unicodedata.normalize(form, label)]
    others += [label_folder(label).removeprefix("by_label="), f"{label}.", f"{label} ", f"_{label}"]
    return label, draw(st.sampled_from(others))


@given(st.tuples(LABELS, LABELS) | alike())
def test_labels_have_folders_of_their_own(pair: tuple[str, str]) -> None:
    a, b = pair
    assert (as_one(label_folder(a)) == as_one(label_folder(b))) == (a == b)


@pytest.mark.parametrize(
    ("label", "key"),
    [
        (None, UNLABELLED),
        ("01", "_01"),
        ("2020-01-01", "_2020-01-01"),
        ("-1.5", "_-1.5"),
        ("True", "_True~1"),
        ("null", "_null"),
        ("_01", "__01"),
        ("nullarbor", "nullarbor"),
        ("__HIVE_DEFAULT_PARTITION__", "___HIVE_DEFAULT_PARTITION__~fffff"),
        ("rock", "rock"),
        ("Rock", "Rock~1"),
        ("Hip-Hop", "Hip-Hop~9"),
        ("ROCK", "ROCK~f"),
        ("Rock~1", "Rock%7E1~1"),
        ("Édith", "%C3%89dith"),
        ("rock.", "rock%2E"),
        ("Rock ", "Rock ~1"),
        ("rock ", "rock%20"),
        ("a/b", "a%2Fb"),
        ("=", "%3D"),
        ("%", "%25"),
        ("..", ".%2E"),
        ("R&B, soul", "R%26B, soul~3"),
    ],
)
def test_label_folders(label: str | None, key: str) -> None:
    assert label_folder(label) == f"by_label={key}"


def test_long_labels_are_cut_whole_and_stay_apart() -> None:
    folders = {label_folder("é" * n) for n in range(100, 200)}
    assert len(folders) == 100
    for folder in folders:
        assert len(folder) < 255
        assert set(unquote(folder.removeprefix("by_label=")[:-18], errors="strict")) == {"é"}
    for n in range(6):  # wherever in a character the limit is
        key = label_folder("x" * n + "é" * 200).removeprefix("by_label=")
        assert set(unquote(key[:-18], errors="strict")) <= {"x", "é"}


def test_buckets_are_ranges_of_the_hash() -> None:
    hashes = np.sort(path_hashes(pa.array([f"{i}.wav" for i in range(2000)])))
    for n_buckets in (1, 2, 7, 100):
        buckets = bucket_of(hashes, n_buckets)
        assert np.all(np.diff(buckets) >= 0)
        assert set(buckets) == set(range(n_buckets))
        assert np.bincount(buckets).max() < 2 * 2000 / n_buckets + 20


def test_a_hash_never_changes() -> None:
    # tables on disk depend on it
    assert path_hashes(pa.array(["rock/a.wav", "é"])).tolist() == [
        23189150360323966,
        17839895020865391795,
    ]


def test_part_names() -> None:
    assert part_name(7) == "part-00007.parquet"
    assert bucket_of_part("features/by_label=a/part-00007.parquet") == 7
    assert bucket_of_part(part_name(1234567)) == 1234567
    for other in ("part-7.parquet", "x-part-00007.parquet", "part-00007.parquet.tmp", "data.csv"):
        assert bucket_of_part(other) is None
