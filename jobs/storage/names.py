"""The stored form of file names: valid UTF-8, the same in every locale. Pure functions."""

from __future__ import annotations

import os
import re
import sys
from unicodedata import normalize

from jobs.errors import UsageError

_ESCAPE = re.compile(r"\\(\\|x[89a-f][0-9a-f])")


def encode_path(path: str) -> str:
    r"""Return the stored form of a file name, which is always valid UTF-8.

    A backslash is doubled, and a byte that is not valid UTF-8 is written ``\xNN``.
    Everything else is kept. No two names share a stored form.

    Parameters
    ----------
    path : str
        A name in UTF-8; bytes that are not UTF-8 are surrogates.

    See Also
    --------
    encode_local : The same for a name from one of Python's `os` functions.
    """
    raw = path.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\")
    return raw.decode("utf-8", "backslashreplace")


def decode_path(stored: str) -> str:
    """Return the name in UTF-8 of a stored form: the inverse of `encode_path`."""

    def raw(match: re.Match[str]) -> str:
        token = match.group(1)
        return "\\" if token == "\\" else chr(0xDC00 + int(token[1:], 16))

    return _ESCAPE.sub(raw, stored)


def utf8_name(local: str) -> str:
    """Return a local file's name in UTF-8, independent of the process's locale.

    Python's `os` functions decode the bytes of a name by the locale. The bytes are the same
    in every locale, so they are what is stored.

    Parameters
    ----------
    local : str
        A name as this process's `os` functions return it.

    Raises
    ------
    UsageError
        If the name has characters that this process cannot encode.
    """
    try:
        return os.fsencode(local).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{local} cannot be a file's name in this process, where names are"
            f" {sys.getfilesystemencoding()}: set PYTHONUTF8=1 before Python starts"
        ) from error


def local_name(name: str) -> str:
    """Return a UTF-8 name in the form that this process's `os` functions take."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def encode_local(local: str) -> str:
    """Return the stored form of a name from one of this process's `os` functions."""
    return encode_path(utf8_name(local))


def decode_local(stored: str) -> str:
    """Return a stored name in the form that this process's `os` functions take."""
    return local_name(decode_path(stored))


def stored_path(text: str) -> str:
    r"""Return the stored form of a path from a list.

    The path may be a stored form already: each backslash is doubled or begins the ``\xNN``
    of a byte that is not UTF-8. It is returned unchanged then. Any other path is a plain name.
    """
    decoded = decode_path(text)
    return text if encode_path(decoded) == text else encode_path(text)


def slashed(stored: str) -> str:
    r"""Return a stored path with ``/`` in place of ``\``, the separator of Windows."""
    return stored.replace("\\\\", "/")


def other_forms(stored: str) -> list[str]:
    r"""Return other stored paths that may mean the same file.

    Unicode has two forms of many letters: macOS stores names decomposed (NFD), other systems
    composed (NFC). A folder and its files may have different forms. Windows writes ``\`` for
    ``/``.
    """
    if stored.isascii() and "\\" not in stored:
        return []
    forms = {
        normalize(folder_form, folder) + slash + normalize(name_form, name)
        for folder, slash, name in (stored.rpartition("/"), slashed(stored).rpartition("/"))
        for folder_form in ("NFC", "NFD")
        for name_form in ("NFC", "NFD")
    }
    return sorted((forms | {slashed(stored)}) - {stored})


def is_utf8(stored: str) -> bool:
    """Return whether all bytes of a stored name are valid UTF-8."""
    return re.search("[\udc80-\udcff]", decode_path(stored)) is None


def readable(stored: str) -> str:
    r"""Return a stored name for display: single backslashes, undecodable bytes as ``\xNN``."""
    return stored.replace("\\\\", "\\")
