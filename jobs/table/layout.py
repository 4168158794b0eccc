"""Names of everything in a table: parts, label folders, and the files below _job/."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

import xxhash

TABLE_JSON = "_job/table.json"
LOCK = "_job/lock"
LEASE = "_job/lease.json"
RUNS = "_job/runs"

#: Says of which table an unfinished copy is, until the copy is complete.
REPARTITION_JSON = "_job/repartition.json"
FEATURES = "features"
ERRORS = "errors"

#: Folder of the rows of a table of images, and folder of the images.
INDEX = "index"
IMAGES = "images"

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
    prefix = "_" if _GUESSED.match(label) else ""
    return f"by_label={_key(label, prefix)}"


def safe_name(text: str) -> str:
    """Return a name for a file or folder that stands for a text, as that of a label does.

    It is ASCII and unique, also on file systems that ignore case or normalize names. It is
    never empty, ``.`` or ``..``, and has no ``/``.
    """
    return _key(text) or "~"


def _key(text: str, prefix: str = "") -> str:
    key = _quoted(text) + _capitals(text)
    if key.endswith((".", " ")):  # Windows and exFAT drop these at the end of a name
        key = f"{key[:-1]}%{ord(key[-1]):02X}"
    key = prefix + key
    if len(key) > _MAX_FOLDER_BYTES:
        key = f"{_beginning(text)}~~{xxhash.xxh3_64_hexdigest(text.encode())}"
    return key


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


def is_errors(part: str) -> bool:
    """Return whether a part holds errors, not features."""
    return part.startswith(f"{ERRORS}/")


_NAME = re.compile(rf"{RUNS}/(?P<run>[^/]+)/staged/b(?P<bucket>\d+)-(?P<attempt>\w+)\.parquet")


def staged_name(run_id: str, bucket: int) -> str:
    """Return a unique name for a new staged file."""
    return f"{RUNS}/{run_id}/staged/b{bucket:05d}-{uuid.uuid4().hex}.parquet"


def run_and_bucket(name: str) -> tuple[str, int] | None:
    """Return the run and the hash bucket in the name of a staged file; None for other files."""
    match = _NAME.fullmatch(name)
    return (match["run"], int(match["bucket"])) if match else None
