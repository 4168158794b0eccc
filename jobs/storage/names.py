"""Names: how paths and labels are stored, and which bucket a path belongs to. Pure functions."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING
from unicodedata import normalize

from jobs.errors import UsageError

if TYPE_CHECKING:
    pass


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
