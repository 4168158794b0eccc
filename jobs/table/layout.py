"""Names of everything in a table: parts, label folders, and the files below _job/."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

import xxhash

#: Folder key of the files without a label (a null key breaks pandas).
UNLABELLED = "unlabelled"

_MAX_FOLDER_BYTES = 200
_SAFE = " ,@+"

#: Labels that readers would not take for text, and labels that begin with ``_``.
_GUESSED = re.compile(r"_|[+\-.]*\d|[+-]?(nan|inf|infinity|true|false|null|none)$", re.IGNORECASE)


def label_folder(label: str | None) -> str:
    """Return the folder of a label's parts below ``features/``: ``by_label=<key>``.

    The label itself is a column, so the key only has to be unique. It must be so on every
    file system, because tables are copied:

    - The label is percent-encoded, as Hive-style readers expect. The key is ASCII, so Unicode
      forms stay distinct on file systems that normalize names.
    - The positions of capitals follow a ``~`` (`_capitals`). So ``Rock~1`` and ``rock`` stay
      distinct on file systems that ignore case (exFAT, SMB, macOS).
    - Readers guess types from keys, each in a different way. A key that looks like a number,
      a date, a flag or a null gets the prefix ``_``.
    - A key that is too long for a file name is cut between characters and ends in a hash.
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
    """Return the capitals among a label's ASCII letters as ``~`` and a hexadecimal bit mask.

    The first letter is the lowest bit: ``~1`` for ``Rock``. No capitals give no suffix.
    """
    letters = [c for c in label if c.isascii() and c.isalpha()]
    bits = sum(1 << i for i, letter in enumerate(letters) if letter.isupper())
    return f"~{bits:x}" if bits else ""


def _beginning(label: str) -> str:
    """Return the percent-encoded beginning of a label that fits into a folder name."""
    key = ""
    for character in label:
        piece = _quoted(character)
        if len(key) + len(piece) > _MAX_FOLDER_BYTES:
            break
        key += piece
    return key


def part_name(bucket: int) -> str:
    """Return the file name of a part of a hash bucket, which is the same in every folder."""
    return f"part-{bucket:05d}.parquet"


def bucket_of_part(name: str) -> int | None:
    """Return the hash bucket in the name of a part; None for other files."""
    match = re.fullmatch(r"part-(\d{5,})\.parquet", name.rsplit("/", 1)[-1])
    return int(match.group(1)) if match else None


BYTES_A_ROW_FIXED = 250
BYTES_A_COLUMN = 4
PART_BYTES = 50_000_000
BUCKET_BYTES = 2_000_000_000
BUCKET_FILES = 250_000


def row_bytes(n_columns: int) -> float:
    """Return the approximate size of a row in bytes, without series."""
    return BYTES_A_ROW_FIXED + BYTES_A_COLUMN * n_columns


def table_bytes(
    n_files: int,
    n_seconds: float,
    *,
    rows_a_second: float,
    bytes_a_row: float,
    bytes_a_second: float,
) -> float:
    """Return the approximate size in bytes of the rows of all files.

    Parameters
    ----------
    n_files : int
        Number of files.
    n_seconds : float
        Total duration [s].
    rows_a_second : float
        Rows per second of audio; 0 if each file has one row.
    bytes_a_row : float
        Bytes per row, without series.
    bytes_a_second : float
        Bytes of series per second of audio.
    """
    n_rows = n_files + rows_a_second * n_seconds
    return n_rows * bytes_a_row + bytes_a_second * n_seconds


def bucket_count(n_files: int, n_bytes: float, n_labels: int) -> int:
    """Return the number of hash buckets of a new table, at least 1, for parts of about 50 MB.

    With very many labels the parts are smaller, because planning and merging process all
    files of a bucket at once.

    Parameters
    ----------
    n_files : int
        Number of files in the table.
    n_bytes : float
        Size of their rows in bytes.
    n_labels : int
        Number of label folders that share the rows of a bucket.
    """
    fitting = round(n_bytes / max(1, n_labels) / PART_BYTES)
    return max(1, fitting, n_files // BUCKET_FILES, int(n_bytes // BUCKET_BYTES))


TABLE_JSON = "_job/table.json"
FEATURES = "features"
ERRORS = "errors"


def is_errors(part: str) -> bool:
    """Return whether a part holds errors, not features."""
    return part.startswith(f"{ERRORS}/")


RUNS = "_job/runs"
_NAME = re.compile(rf"{RUNS}/(?P<run>[^/]+)/staged/b(?P<bucket>\d+)-(?P<attempt>\w+)\.parquet")


def staged_name(run_id: str, bucket: int) -> str:
    """Return a unique name for a new staged file."""
    return f"{RUNS}/{run_id}/staged/b{bucket:05d}-{uuid.uuid4().hex}.parquet"


def run_and_bucket(name: str) -> tuple[str, int] | None:
    """Return the run and the hash bucket in the name of a staged file; None for other files."""
    match = _NAME.fullmatch(name)
    return (match["run"], int(match["bucket"])) if match else None


LOCK = "_job/lock"
LEASE = "_job/lease.json"
