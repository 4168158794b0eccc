"""Names: how paths and labels are stored, and which bucket a path belongs to. Pure functions."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING
from unicodedata import normalize
from urllib.parse import quote

import xxhash

from jobs.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

# Recordings often come in mp4, 3gp, 3g2, webm and asf, so these are tried, though they may be
# videos. Not so mkv, ogv, mov or avi: those are videos, and each would be an error of the corpus
# or its sound track a surprise. aax and m4p are encrypted; raw samples do not say their rate.
AUDIO_EXTENSIONS = frozenset(
    {
        "3g2",
        "3ga",
        "3gp",
        "aa3",
        "aac",
        "ac3",
        "adts",
        "adx",
        "aif",
        "aifc",
        "aiff",
        "amr",
        "ape",
        "asf",
        "at3",
        "au",
        "awb",
        "bwf",
        "caf",
        "dff",
        "dsf",
        "dss",
        "dts",
        "dtshd",
        "eac3",
        "ec3",
        "f4a",
        "flac",
        "gsm",
        "m1a",
        "m2a",
        "m4a",
        "m4b",
        "m4r",
        "mka",
        "mlp",
        "mp1",
        "mp2",
        "mp3",
        "mp4",
        "mpa",
        "mpc",
        "mpga",
        "oga",
        "ogg",
        "oma",
        "opus",
        "qcp",
        "ra",
        "rf64",
        "shn",
        "snd",
        "sph",
        "spx",
        "tak",
        "thd",
        "tta",
        "voc",
        "w64",
        "wav",
        "wave",
        "wave64",
        "webm",
        "wma",
        "wv",
    }
)
"""Files that are taken for audio in a folder; one that cannot be decoded gets an error row."""

UNLABELLED = "unlabelled"
"""Folder key of the files that have no label (a null key breaks pandas)."""

_MAX_FOLDER_BYTES = 200
_SAFE = " ,@+"
_GUESSED = re.compile(r"_|[+\-.]*\d|[+-]?(nan|inf|infinity|true|false|null|none)$", re.IGNORECASE)
"""Labels that readers take for something else than text, and those that begin like their keys."""

_ESCAPE = re.compile(r"\\(\\|x[89a-f][0-9a-f])")


def encode_path(path: str) -> str:
    r"""Return the form in which a file name is stored: always valid UTF-8.

    A name is kept as it is, except that a backslash is doubled and a byte that is
    not part of valid UTF-8 is written ``\xNN``. No two names share a stored form.

    Parameters
    ----------
    path : str
        A name in UTF-8, with bytes that are not UTF-8 as surrogates.

    See Also
    --------
    encode_local : For a name that one of Python's `os` functions gave.
    """
    raw = path.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\")
    return raw.decode("utf-8", "backslashreplace")


def decode_path(stored: str) -> str:
    """Return the name that `encode_path` stored, in UTF-8; see `decode_local`."""

    def raw(match: re.Match[str]) -> str:
        token = match.group(1)
        return "\\" if token == "\\" else chr(0xDC00 + int(token[1:], 16))

    return _ESCAPE.sub(raw, stored)


def utf8_name(local: str) -> str:
    """Return a local file's name in UTF-8, whatever the locale of this process.

    Python's `os` functions decode a name's bytes as the process's locale says. The bytes
    are the same in every locale, so those are what is kept.

    Parameters
    ----------
    local : str
        A name as the `os` functions of this process give and take it.

    Raises
    ------
    UsageError
        If it has characters that no name has in this process.
    """
    try:
        return os.fsencode(local).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{local} cannot be a file's name in this process, where names are"
            f" {sys.getfilesystemencoding()}: set PYTHONUTF8=1 before Python starts"
        ) from error


def local_name(name: str) -> str:
    """Return a name in UTF-8 as the `os` functions of this process take it."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def encode_local(local: str) -> str:
    """Return the stored form of a name that one of this process's `os` functions gave."""
    return encode_path(utf8_name(local))


def decode_local(stored: str) -> str:
    """Return a stored name as the `os` functions of this process take it."""
    return local_name(decode_path(stored))


def stored_path(text: str) -> str:
    r"""Return the stored form of a path that somebody wrote down.

    A path that is a stored form already (each of its backslashes is doubled, or begins
    the ``\xNN`` of a byte that is not UTF-8) is taken for one; any other is a name as it is.
    """
    decoded = decode_path(text)
    return text if encode_path(decoded) == text else encode_path(text)


def slashed(stored: str) -> str:
    r"""Return a stored path with ``/`` for the backslashes of its name, as Windows writes them."""
    return stored.replace("\\\\", "/")


def other_forms(stored: str) -> list[str]:
    r"""Return stored paths that somebody may mean by this one.

    Unicode has two forms of many letters: macOS stores names decomposed (NFD), others
    composed (NFC). Windows writes ``\`` for ``/``. A folder's form may be another than that of
    the files in it.
    """
    if stored.isascii() and "\\" not in stored:
        return []
    forms = {
        normalize(of_folder, folder) + slash + normalize(of_name, name)
        for folder, slash, name in (stored.rpartition("/"), slashed(stored).rpartition("/"))
        for of_folder in ("NFC", "NFD")
        for of_name in ("NFC", "NFD")
    }
    return sorted((forms | {slashed(stored)}) - {stored})


def is_utf8(stored: str) -> bool:
    """Say whether all bytes of a stored name are UTF-8."""
    return re.search("[\udc80-\udcff]", decode_path(stored)) is None


def readable(stored: str) -> str:
    r"""Return a stored name for people: its backslashes single, undecodable bytes ``\xNN``."""
    return stored.replace("\\\\", "\\")


def path_hashes(paths: list[str]) -> np.ndarray:
    """Return a stable 64-bit hash of each stored path (XXH3, seed 0).

    Returns
    -------
    np.ndarray [shape=(n,), dtype=uint64]
    """
    import numpy as np  # names alone, as the command line needs them, are had without

    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(p.encode()) for p in paths), dtype=np.uint64, count=len(paths))


def bucket_of(hashes: np.ndarray, n_buckets: int) -> np.ndarray:
    """Return the bucket of each hash: equal ranges of the hash's upper 32 bits.

    Ranges, not a remainder: a listing that is sorted by hash once can be cut into any
    number of buckets, which is only known when the listing has ended.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
    """
    import numpy as np

    return (((hashes >> np.uint64(32)) * np.uint64(n_buckets)) >> np.uint64(32)).astype(np.int64)


def label_folder(label: str | None) -> str:
    """Return the folder, below ``features/``, of a label's parts: ``by_label=<key>``.

    The label itself is a column; the key only has to be the label's own:

    - It is the label, percent-encoded as Hive-style readers expect. That leaves ASCII, so
      Unicode forms stay apart on file systems that know one of them.
    - Capitals are counted after a ``~`` (`_capitals`), so ``Rock~1`` and ``rock`` stay
      apart on file systems that ignore case (exFAT, SMB, macOS). It does not depend on the
      file system, since tables are copied.
    - Readers guess types from keys, each in its own way: one that could pass for a number,
      a date, a flag or a null gets a ``_`` before it.
    - One too long for a file name is cut between characters and ends in a hash.
    """
    if label is None:
        return f"by_label={UNLABELLED}"
    key = _quoted(label) + _capitals(label)
    if key.endswith((".", " ")):  # Windows and exFAT drop these at the end of a name
        key = f"{key[:-1]}%{ord(key[-1]):02X}"
    if _GUESSED.match(label):
        key = f"_{key}"
    if len(key) > _MAX_FOLDER_BYTES:
        key = f"{_beginning(label)}~~{xxhash.xxh3_64_hexdigest(label.encode())}"
    return f"by_label={key}"


def _quoted(text: str) -> str:
    return quote(text, safe=_SAFE).replace("~", "%7E")


def _capitals(label: str) -> str:
    """Return which of a label's ASCII letters are capitals: ``~`` and bits in hexadecimal.

    The first letter is the lowest bit: ``~1`` for ``Rock``, nothing for ``rock``.
    """
    letters = [c for c in label if c.isascii() and c.isalpha()]
    bits = sum(1 << i for i, letter in enumerate(letters) if letter.isupper())
    return f"~{bits:x}" if bits else ""


def _beginning(label: str) -> str:
    """Return as many characters of a label, percent-encoded, as a folder's name takes."""
    key = ""
    for character in label:
        piece = _quoted(character)
        if len(key) + len(piece) > _MAX_FOLDER_BYTES:
            break
        key += piece
    return key


def part_name(bucket: int) -> str:
    """Return the file name of a bucket's part, the same in every folder."""
    return f"part-{bucket:05d}.parquet"


def bucket_of_part(name: str) -> int | None:
    """Return the bucket that a part's file name says, or None where it is no part."""
    match = re.fullmatch(r"part-(\d{5,})\.parquet", name.rsplit("/", 1)[-1])
    return int(match.group(1)) if match else None
