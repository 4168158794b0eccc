"""Names of everything in a table: parts, label folders, buckets, and what is below _job/."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

import xxhash

UNLABELLED = "unlabelled"
"""Folder key of the files that have no label (a null key breaks pandas)."""
_MAX_FOLDER_BYTES = 200
_SAFE = " ,@+"
_GUESSED = re.compile(r"_|[+\-.]*\d|[+-]?(nan|inf|infinity|true|false|null|none)$", re.IGNORECASE)
"""Labels that readers take for something else than text, and those that begin like their keys."""


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


BYTES_A_ROW_FIXED = 250
BYTES_A_COLUMN = 4
PART_BYTES = 50_000_000
BUCKET_BYTES = 2_000_000_000
BUCKET_FILES = 250_000


def row_bytes(n_columns: int) -> float:
    """Return about how many bytes a row takes, without series."""
    return BYTES_A_ROW_FIXED + BYTES_A_COLUMN * n_columns


def table_bytes(
    n_files: int,
    n_seconds: float,
    *,
    rows_a_second: float,
    bytes_a_row: float,
    bytes_a_second: float,
) -> float:
    """Return about how many bytes the rows of files take.

    Parameters
    ----------
    n_files : int
        Files.
    n_seconds : float
        Their duration together.
    rows_a_second : float
        Rows for each second of audio; 0 where a file has one row.
    bytes_a_row : float
        Bytes of a row, without series.
    bytes_a_second : float
        Bytes of the series for each second of audio.
    """
    n_rows = n_files + rows_a_second * n_seconds
    return n_rows * bytes_a_row + bytes_a_second * n_seconds


def bucket_count(n_files: int, n_bytes: float, n_labels: int) -> int:
    """Return how many buckets a new table gets: parts of about 50 MB, at least one.

    With very many labels the parts are smaller, for planning and merging deal with a
    whole bucket's files at once.

    Parameters
    ----------
    n_files : int
        Files that it will hold.
    n_bytes : float
        Bytes of their rows.
    n_labels : int
        Label folders among which a bucket's rows are spread.
    """
    fitting = round(n_bytes / max(1, n_labels) / PART_BYTES)
    return max(1, fitting, n_files // BUCKET_FILES, int(n_bytes // BUCKET_BYTES))


TABLE_JSON = "_job/table.json"
FEATURES = "features"
ERRORS = "errors"


def is_errors(part: str) -> bool:
    """Say whether a part is one of errors, not of features."""
    return part.startswith(f"{ERRORS}/")


RUNS = "_job/runs"
_NAME = re.compile(rf"{RUNS}/(?P<run>[^/]+)/staged/b(?P<bucket>\d+)-(?P<attempt>\w+)\.parquet")


def staged_name(run_id: str, bucket: int) -> str:
    """Return the name of a new staged file, unique to the attempt."""
    return f"{RUNS}/{run_id}/staged/b{bucket:05d}-{uuid.uuid4().hex}.parquet"


def run_and_bucket(name: str) -> tuple[str, int] | None:
    """Return the run and bucket of a staged file's name; None for another file."""
    match = _NAME.fullmatch(name)
    return (match["run"], int(match["bucket"])) if match else None


LOCK = "_job/lock"
LEASE = "_job/lease.json"
